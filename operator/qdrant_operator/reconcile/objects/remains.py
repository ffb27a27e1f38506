"""What is left of an earlier QdrantCluster of the same name while Kubernetes deletes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qdrant_operator.domain.common import names
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.belonging import is_of_earlier
from qdrant_operator.reconcile.ports import Kind, Manifest

PARTS = (
    Kind.SERVICE_ACCOUNT,
    Kind.SECRET,
    Kind.CONFIG_MAP,
    Kind.SERVICE,
    Kind.DISRUPTION_BUDGET,
    Kind.NETWORK_POLICY,
)
"""Objects that hold no data: the cache is enough for them."""


async def find_remains(context: Context, subject: Manifest) -> tuple[str, ...]:
    """Objects that are going, as users name them. StatefulSet, pods and claims are read live.

    An object whose owner was a QdrantCluster of this name with another uid goes too, a moment later.
    """
    meta = subject["metadata"]
    namespace, cluster = meta["namespace"], meta["name"]
    live = await context.kubernetes.read(Kind.STATEFUL_SET, namespace, cluster)
    pods = await context.kubernetes.list(Kind.POD, namespace, names.peer_selector(cluster))
    claims = await context.kubernetes.list(Kind.CLAIM, namespace, {})
    found = [
        *_going([live] if live else [], cluster, meta["uid"]),
        *_going(pods, cluster, meta["uid"]),
        *_orphans(pods, live),
        *_going(_of_cluster(claims, cluster), cluster, meta["uid"]),
    ]
    for kind in PARTS:
        found += _going(
            context.kubernetes.cached(kind, namespace, names.cluster_labels(cluster)), cluster, meta["uid"]
        )
    return tuple(dict.fromkeys(f"{manifest['kind']} {manifest['metadata']['name']}" for manifest in found))


def _of_cluster(claims: Iterable[Manifest], cluster: str) -> list[Manifest]:
    return [claim for claim in claims if names.cluster_of_claim(claim["metadata"]["name"]) == cluster]


def _going(found: Iterable[Manifest], cluster: str, uid: str) -> Iterator[Manifest]:
    for manifest in found:
        if "deletionTimestamp" in manifest["metadata"] or is_of_earlier(manifest, cluster, uid):
            yield manifest


def _orphans(pods: Iterable[Manifest], stateful_set: Manifest | None) -> Iterator[Manifest]:
    """Pods of a StatefulSet that is gone. Pods without an owner stay, and a new StatefulSet takes them over."""
    present = stateful_set["metadata"]["uid"] if stateful_set else None
    for pod in pods:
        owners = [owner.get("uid") for owner in pod["metadata"].get("ownerReferences") or ()]
        if owners and present not in owners:
            yield pod
