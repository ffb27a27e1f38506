"""Who else writes a field, by an object's managedFields."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.rival_writers import Contested, managers_of

TREE: Manifest = {
    "f:metadata": {"f:annotations": {".": {}, "f:qdrantoperator.dev/template-hash": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"qdrant"}': {".": {}, "f:image": {}}}}},
        "f:ports": {'k:{"port":6333,"protocol":"TCP"}': {"f:port": {}}},
    },
}


def stateful_set(**managers: Manifest) -> Manifest:
    """An object whose fields these managers own."""
    entries = [{"manager": name.replace("_", "-"), "fieldsV1": tree} for name, tree in managers.items()]
    return {"metadata": {"name": "vectors", "managedFields": entries}}


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("spec.replicas", True),
        ("spec.template.spec.containers[qdrant].image", True),
        ("metadata.annotations.qdrantoperator.dev/template-hash", True),
        ("spec.template.spec.containers[other].image", False),
        ("spec.template.spec.containers[qdrant].imagePullPolicy", False),
        ("spec.replica", False),
        ("spec.serviceName", False),
    ],
)
def test_the_manager_of_a_path_is_found(path: str, owned: bool) -> None:
    """Dots belong to keys as well; items of lists go by their name."""
    found = managers_of(stateful_set(mesh_injector=TREE), [path])
    assert found == (("mesh-injector",) if owned else ())


def test_we_are_no_rival_of_ourselves() -> None:
    """Our own entries say nothing, and each other manager is named once."""
    both = stateful_set(qdrant_operator=TREE, argocd=TREE, kubectl={"f:spec": {"f:serviceName": {}}})
    assert managers_of(both, ["spec.replicas", "metadata.annotations.other"]) == ("argocd",)


def test_the_sentence_names_field_object_writer_and_remedy() -> None:
    """With a manager, without one, and for an object that is deleted."""
    image = "spec.template.spec.containers[qdrant].image"
    known = str(Contested(Kind.STATEFUL_SET, "vectors", (image,), ("mesh-injector",)))
    assert known.startswith(
        f"mesh-injector also writes {image} of StatefulSet vectors: configure it to leave"
    )
    unknown = str(Contested(Kind.STATEFUL_SET, "vectors", (image,)))
    assert "admission webhook" in unknown
    assert "second installation" in unknown
    assert str(Contested(Kind.SERVICE, "vectors", ())).startswith(
        "Service vectors is deleted after each time"
    )
