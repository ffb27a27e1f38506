"""Which objects are a QdrantCluster's: by label and owner, as a backup may bring them back without either owner."""

from __future__ import annotations

from collections.abc import Iterable

from qdrant_operator.domain.common import names
from qdrant_operator.reconcile.ports import Kind, Manifest


def belongs(found: Manifest, cluster: str, uid: str) -> bool:
    """Whether an object was made for the QdrantCluster of this name.

    Our labels are enough where nothing else controls the object: tools that restore a backup take owner
    references away, and an object whose owner was deleted without its dependents has none.
    """
    owners = _owners(found)
    if uid in [owner.get("uid") for owner in owners]:
        return True
    controlled = any(owner.get("controller") and not _is_named(owner, cluster) for owner in owners)
    labels = found["metadata"].get("labels") or {}
    ours = all(labels.get(key) == value for key, value in names.cluster_labels(cluster).items())
    return ours and not controlled


def is_of_earlier(found: Manifest, cluster: str, uid: str) -> bool:
    """Whether the object was another QdrantCluster's of the same name: Kubernetes is about to delete it."""
    named = [owner for owner in _owners(found) if _is_named(owner, cluster)]
    return bool(named) and uid not in [owner.get("uid") for owner in named]


def _owners(found: Manifest) -> Iterable[Manifest]:
    return tuple(found["metadata"].get("ownerReferences") or ())


def _is_named(owner: Manifest, cluster: str) -> bool:
    return owner.get("kind") == Kind.CLUSTER.kind and owner.get("name") == cluster
