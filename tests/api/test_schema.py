"""The generated CRDs: structural, described, small, guarded, and equal to the files in the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel

from qdrant_operator.api.crds import CHART, PLAIN, crd, crd_files
from qdrant_operator.api.kinds import GROUP, KINDS, VERSION, CustomKind
from qdrant_operator.api.schema import INT_OR_STRING, PRESERVE, RULES, structural
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from tests.api.rule_changes import CHANGES
from tests.api.rules import STATIC, cases

ROOT = Path(__file__).parents[2]
UNSTRUCTURED = {
    "$ref",
    "$defs",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "const",
    "title",
    "nullable",
    "discriminator",
}
BY_NAME = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)


def _root(kind: CustomKind) -> dict[str, Any]:
    schema: dict[str, Any] = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in node:
            yield from _nodes(node[word], f"{path}[]")


def _rules(kind: CustomKind) -> Iterator[str]:
    for _, node in _nodes(_root(kind)):
        yield from (rule["message"] for rule in node.get(RULES, ()))


@BY_NAME
def test_every_node_is_structural(kind: CustomKind) -> None:
    """Each node has one type, or is int-or-string, and holds no word that Kubernetes refuses."""
    for path, node in _nodes(_root(kind)):
        assert not UNSTRUCTURED & node.keys(), path
        assert ("type" in node) != node.get(INT_OR_STRING, False), path


@BY_NAME
def test_every_field_is_described(kind: CustomKind) -> None:
    """`kubectl explain` has a sentence for each field of spec and status."""
    for path, node in _nodes(_root(kind)):
        if path.rpartition(".")[2].endswith("[]") or path in {"", ".metadata"}:
            continue
        assert node.get("description", "").endswith((".", "?")), path


@BY_NAME
def test_only_free_form_fields_keep_what_is_unknown(kind: CustomKind) -> None:
    """Unknown fields are refused everywhere but in Qdrant's configuration and Kubernetes' affinity."""
    free = {path for path, node in _nodes(_root(kind)) if PRESERVE in node}
    assert free <= {".spec.config", ".spec.podTemplate.spec.affinity"}


@BY_NAME
def test_the_server_fills_in_nothing_of_a_status(kind: CustomKind) -> None:
    """No default stands in a status: it would make every reported status look changed."""
    status = _root(kind)["properties"]["status"]
    assert not [path for path, node in _nodes(status) if "default" in node]


@BY_NAME
def test_what_a_rule_reads_is_bounded(kind: CustomKind) -> None:
    """Lists and maps in a spec have a largest size, so that rules and objects stay cheap."""
    unbounded = [
        path
        for path, node in _nodes(_root(kind)["properties"]["spec"])
        if (node.get("type") == "array" and "maxItems" not in node)
        or (isinstance(node.get("additionalProperties"), dict) and "maxProperties" not in node)
    ]
    kubernetes_own = (".podTemplate.spec.topologySpreadConstraints",)
    assert [path for path in unbounded if not path.startswith(kubernetes_own)] == []


@BY_NAME
def test_names_are_those_the_operator_asks_for(kind: CustomKind) -> None:
    """Group, version, kind and plural of each CRD are what the adapters put into URLs."""
    assert (GROUP, VERSION) == (names.GROUP, names.VERSION)
    known = {(one.kind, one.plural) for one in Kind if one.api_version == names.API_VERSION}
    assert (kind.kind, kind.plural) in known


@BY_NAME
def test_columns_point_at_fields(kind: CustomKind) -> None:
    """Each printer column shows a field that exists, with its type."""
    fields = {path: node for path, node in _nodes(_root(kind)) if path}
    for column in kind.columns:
        if column.path == ".metadata.creationTimestamp":
            continue
        field = fields[column.path]
        shown = "date" if column.type == "date" else field["type"]
        assert column.type == shown
        assert column.type != "date" or field["format"] == "date-time"


def test_every_kind_has_a_crd() -> None:
    """No kind of ours is without a CRD, and no two share a short name."""
    ours = {one.plural for one in Kind if one.api_version == names.API_VERSION}
    assert {kind.plural for kind in KINDS} == ours
    assert len({kind.short for kind in KINDS}) == len(KINDS)


def test_files_in_the_tree_are_the_generated_ones() -> None:
    """`crds/` and the chart's copy are exactly what the models say; nothing else lies beside them."""
    files = crd_files()
    assert {path: (ROOT / path).read_text() for path in files} == files
    folders = {str(Path(pattern).parent) for pattern in (PLAIN, CHART)}
    there = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).iterdir()}
    assert there == set(files)


@pytest.mark.parametrize("path", sorted(crd_files()))
def test_files_are_small_enough_for_client_side_apply(path: str) -> None:
    """Client-side apply puts the whole CRD into an annotation, which may have 256 KiB."""
    assert len(crd_files()[path].encode()) < 200_000


@BY_NAME
def test_the_charts_copy_is_the_same_crd_behind_a_switch(kind: CustomKind) -> None:
    """The chart's file is the plain one, kept on uninstall, inside `if .Values.crds.enabled`."""
    text = crd_files()[CHART.format(kind.plural)]
    first, *body, last = text.splitlines()
    assert (first, last) == ("{{- if .Values.crds.enabled }}", "{{- end }}")
    assert "{{" not in "\n".join(body).replace('{{ "{{" }}', "")
    manifest = yaml.safe_load("\n".join(body).replace('{{ "{{" }}', "{{"))
    assert manifest["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert manifest == yaml.safe_load(crd_files()[PLAIN.format(kind.plural)])


def test_every_rule_has_fixtures() -> None:
    """Each rule's message begins like exactly one row of the table, and each row has a rule and both fixtures."""
    said = {message for kind in KINDS for message in _rules(kind)}
    rows = {**STATIC, **CHANGES}
    for message in said:
        assert len([row for row in rows if message.startswith(row)]) == 1, message
    for row, (accepted, refused) in rows.items():
        assert any(message.startswith(row) for message in said), row
        assert accepted, row
        assert refused, row


def test_rules_name_field_and_remedy() -> None:
    """A message begins with the path of a field and goes on to say what to do."""
    for kind in KINDS:
        for message in _rules(kind):
            where, _, remedy = message.partition(": ")
            assert where.split(".")[0] in {"spec", "metadata", "quantization"}, message
            assert ";" in remedy or "for example" in remedy, message


def test_cases_are_of_known_kinds() -> None:
    """The table of cases speaks of our kinds only."""
    assert {case.kind for case in cases()} == {kind.kind for kind in KINDS}


class _Loop(BaseModel):
    inner: _Loop | None = None


class _Union(BaseModel):
    either: int | Literal["auto"]


@pytest.mark.parametrize(("model", "said"), [(_Loop, "contains itself"), (_Union, "split the field")])
def test_what_kubernetes_cannot_say_is_refused_while_generating(model: type[BaseModel], said: str) -> None:
    """Recursion and unions raise a sentence instead of making a CRD that a server refuses."""
    with pytest.raises(TypeError, match=said):
        structural(model)


class _Leaf(BaseModel):
    default: int = 1
    strict: float = 0.0


class _Tree(BaseModel):
    leaf: _Leaf = _Leaf()
    maybe: _Leaf | None = None
    names: tuple[str, ...] = ()


def test_defaults_are_what_a_server_can_fill_in() -> None:
    """A default model becomes `{}`, empty lists and None become nothing, and a field may be named default."""
    fields = structural(_Tree)["properties"]
    assert fields["leaf"]["default"] == {}
    assert fields["leaf"]["properties"]["default"] == {"default": 1, "type": "integer"}
    assert "default" not in fields["maybe"]
    assert "default" not in fields["names"]
    bare = structural(_Tree, defaults=False)["properties"]["leaf"]
    assert bare["properties"]["default"] == {"type": "integer"}
    assert "default" not in bare
