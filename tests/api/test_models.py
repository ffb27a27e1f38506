"""The models: what is read is what was written, and the fixtures and examples know every field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from qdrant_operator.api import ClusterSpec, CollectionSpec, Hnsw, PayloadIndex, SnapshotScheduleSpec
from qdrant_operator.api.kinds import KINDS, CustomKind
from qdrant_operator.api.schema import structural
from tests.api.manifests import FULL, LEAST, STATUS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))
BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _fields(schema[word], path)


def _set(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of declared fields that stand in a value."""
    if isinstance(value, list):
        for item in value:
            yield from _set(item, schema.get("items", {}), path)
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for item in value.values():
            yield from _set(item, schema["additionalProperties"], path)
    elif isinstance(value, dict):
        for name, child in value.items():
            if name in schema.get("properties", {}):
                yield f"{path}.{name}"
                yield from _set(child, schema["properties"][name], f"{path}.{name}")


@BY_KIND
def test_fixtures_set_every_field(kind: CustomKind) -> None:
    """The full fixtures really are full: a new field must enter them."""
    spec, status = structural(kind.spec), structural(kind.status)
    seen = {path for fixture in (LEAST[kind.kind], *FULL[kind.kind]) for path in _set(fixture, spec)}
    assert set(_fields(spec)) - seen == set()
    assert set(_fields(status)) - set(_set(STATUS[kind.kind], status)) == set()


@BY_KIND
def test_what_is_read_is_what_was_written(kind: CustomKind) -> None:
    """A manifest that sets every field comes back from the model unchanged."""
    for spec in (LEAST[kind.kind], *FULL[kind.kind]):
        read = kind.spec.model_validate(spec)
        assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == spec
    assert kind.status.model_validate(STATUS[kind.kind]).manifest() == STATUS[kind.kind]


@BY_KIND
def test_fields_of_a_newer_version_are_ignored(kind: CustomKind) -> None:
    """An operator that is older than the CRD still reads the objects."""
    spec = {**LEAST[kind.kind], "fromTheFuture": {"x": 1}}
    assert kind.spec.model_validate(spec) == kind.spec.model_validate(LEAST[kind.kind])


@BY_KIND
def test_an_object_without_status_can_be_read(kind: CustomKind) -> None:
    """Every status field may be absent: an object is born without any."""
    assert kind.status.model_validate({}).manifest() == kind.status().manifest()


def test_defaults_in_the_model_are_defaults_in_the_schema() -> None:
    """What the server fills in is what the model would assume, so reading is the same before and after."""
    schema = structural(ClusterSpec)["properties"]
    assert schema["replicas"]["default"] == ClusterSpec.model_validate(LEAST["QdrantCluster"]).replicas == 3
    assert schema["persistence"]["properties"]["size"]["default"] == "10Gi"
    assert schema["image"]["default"] == {}
    assert "default" not in schema["podTemplate"]


def test_absent_means_qdrants_own_choice() -> None:
    """Of a collection's settings only those that were set reach Qdrant, in its words."""
    spec = CollectionSpec.model_validate({**LEAST["QdrantCollection"], "hnsw": {"efConstruct": 64}})
    assert spec.hnsw == Hnsw(ef_construct=64)
    assert spec.hnsw is not None
    assert spec.hnsw.words() == {"ef_construct": 64}
    assert spec.optimizers is None
    assert spec.shard_number is None


def test_a_payload_index_speaks_qdrants_words() -> None:
    """The field schema holds the type and the options that were set, without the field's name."""
    index = PayloadIndex.model_validate({"field": "body", "type": "text", "minTokenLen": 2, "onDisk": False})
    assert index.schema_words() == {"type": "text", "min_token_len": 2, "on_disk": False}


def test_specs_cannot_be_changed() -> None:
    """A spec that was read is a value."""
    spec = ClusterSpec.model_validate(LEAST["QdrantCluster"])
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 5  # type: ignore[misc]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_use_known_fields(path: Path) -> None:
    """Each object of ours in the examples is read back exactly as it stands there."""
    specs = {kind.kind: kind.spec for kind in KINDS}
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] in specs:
            spec = specs[document["kind"]].model_validate(document["spec"])
            assert spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == document["spec"]


def test_the_quickstart_makes_one_whole() -> None:
    """Collection and schedule of the quickstart name its cluster, and the schedule its Secret."""
    documents = [d for path in EXAMPLES if path.parent.name == "quickstart" for d in _documents(path)]
    by_kind = {document["kind"]: document for document in documents}
    name = by_kind["QdrantCluster"]["metadata"]["name"]
    assert by_kind["QdrantCollection"]["spec"]["clusterRef"]["name"] == name
    schedule = SnapshotScheduleSpec.model_validate(by_kind["QdrantSnapshotSchedule"]["spec"])
    assert schedule.cluster_ref.name == name
    assert schedule.storage.s3.credentials is not None
    assert schedule.storage.s3.credentials.secret_ref.name == by_kind["Secret"]["metadata"]["name"]
    assert all("namespace" not in document["metadata"] for document in documents)


def _documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))
