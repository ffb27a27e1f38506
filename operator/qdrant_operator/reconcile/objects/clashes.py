"""Objects that another living owner needs are not taken over, also those that carry our label.

Two QdrantClusters can ask for one name: the headless Service of `vectors` is `vectors-peers`, and so is the client
Service of a QdrantCluster `vectors-peers`. Without this check both loops would write it in turn.
"""

from __future__ import annotations

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.ports import Kubernetes


def refuse_anothers(kubernetes: Kubernetes, meta: Manifest, kind: Kind, name: str) -> None:
    """Refuse to write an object that belongs to another one than the QdrantCluster with this metadata.

    An owner of our kind that is gone does not count: its object is taken over before it is collected.

    Raises:
        Refused: `NameClash`.
    """
    live = kubernetes.cached_one(kind, meta["namespace"], name)
    owners = [] if live is None else live["metadata"].get("ownerReferences") or []
    for owner in owners:
        if owner.get("controller") and owner["uid"] != meta["uid"] and _lives(kubernetes, meta, owner):
            whose = f"{owner['kind']} {owner['name']!r}"
            message = f"{kind.kind} {name!r} belongs to {whose}: give one of the two another name"
            raise Refused("NameClash", message)


def _lives(kubernetes: Kubernetes, meta: Manifest, owner: Manifest) -> bool:
    """Of other kinds than ours nothing is known but that Kubernetes collects what they leave."""
    if owner["kind"] != Kind.CLUSTER.kind:
        return True
    found = kubernetes.cached_one(Kind.CLUSTER, meta["namespace"], owner["name"])
    return found is not None and found["metadata"]["uid"] == owner["uid"]
