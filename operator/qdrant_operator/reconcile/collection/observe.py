"""What a pass over a QdrantCollection observes: Kubernetes' objects from the cache, and every peer's own view.

No answer is a value of its own (`Silent`), never an empty answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qdrant_operator.api import CollectionSpec, CollectionStatus
from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed, PodSeen
from qdrant_operator.domain.collection.ownership import claims
from qdrant_operator.domain.collection.settings import lookup
from qdrant_operator.domain.collection.shards.health import health_of, keys_seen, targets_of
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.collection_names import collection_name
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.qdrant.soundness import answering
from qdrant_operator.domain.qdrant.views import PeerView, Silent, View
from qdrant_operator.reconcile.access import ClusterAccess, ordinal
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.finalizers import has_finalizer
from qdrant_operator.reconcile.ports import Endpoint, Json, Kind, Manifest, Qdrant
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.spec import read_spec


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation of a collection."""

    observed: Observed
    endpoint: Endpoint
    """A peer that answers, and knows the collection if any does: requests go there."""


def parse_spec(subject: Manifest) -> CollectionSpec:
    """The spec as a value.

    Raises:
        Refused: `InvalidSpec`.
    """
    return read_spec(CollectionSpec, subject["spec"])


def desired(context: Context, subject: Manifest, cluster: Manifest | None) -> Desired:
    """What the object asks for; `cluster` is its QdrantCluster, None when there is none.

    Raises:
        Refused: `InvalidSpec`.
    """
    meta = subject["metadata"]
    status = read_status(CollectionStatus, subject)
    siblings = context.kubernetes.cached(Kind.COLLECTION, meta["namespace"], {})
    cluster_spec = cluster["spec"] if cluster else {}
    return Desired(
        name=collection_name(subject),
        owner=f"{meta['namespace']}/{meta['name']}/{meta['uid']}",
        spec=parse_spec(subject),
        claims=claims(subject, siblings),
        granted=frozenset(status.aliases),
        granted_keys=frozenset(status.shard_keys),
        wanted_peers=int(cluster_spec.get("replicas") or 1),
        has_finalizer=has_finalizer(subject),
        deleting="deletionTimestamp" in meta,
        cluster_gone=cluster is None or "deletionTimestamp" in cluster["metadata"],
        paused=bool(cluster_spec.get("paused")),
    )


async def observe(
    context: Context, access: ClusterAccess, wanted: Desired, building: frozenset[str]
) -> Observation:
    """Ask every peer, and one that knows the collection for the rest.

    Raises:
        Retryable: no peer of the cluster answers.
    """
    views = await asyncio.gather(*(view_of(context, endpoint) for endpoint in access.endpoints))
    peers = answering(views)
    if not peers:
        reasons = "; ".join(view.reason for view in views if isinstance(view, Silent))
        raise Retryable(f"no peer answers: {reasons}")
    endpoint = _peer_to_ask(access.endpoints, views, wanted.name)
    collection, aliases = await asyncio.gather(
        observe_collection(context.qdrant, endpoint, wanted.name, peers), context.qdrant.aliases(endpoint)
    )
    seen = observed_shards(wanted, views, collection)
    pods = pods_seen(context, access, views)
    return Observation(replace(seen, aliases=aliases, pods=pods, building=building), endpoint)


def observed_shards(wanted: Desired, views: Sequence[View], collection: Live | Absent | Silent) -> Observed:
    """What the peers' own views say of the collection, its shards and its shard keys."""
    peers = answering(views)
    config = collection.config if isinstance(collection, Live) else {}
    factor = lookup(config, ("params", "replication_factor"))
    return Observed(
        collection=collection,
        collections=frozenset().union(*(_names(view) for view in peers)),
        members=len(frozenset().union(*(view.peers for view in peers))),
        answering=len(peers),
        shards=health_of(wanted.name, views, wanted.spec, factor),
        targets=targets_of(wanted.name, peers),
        keys=keys_seen(wanted.name, peers),
    )


def pods_seen(context: Context, access: ClusterAccess, views: Sequence[View]) -> tuple[PodSeen, ...]:
    """The cluster's pods with their zones, and the peers that answer from them."""
    meta, zone_key = access.cluster["metadata"], _zone_key(access.cluster)
    by_pod = {endpoint.identity: view for endpoint, view in zip(access.endpoints, views, strict=True)}
    pods = context.kubernetes.cached(Kind.POD, meta["namespace"], names.peer_selector(meta["name"]))
    ordered = sorted(pods, key=ordinal)
    return tuple(_pod(pod, by_pod.get(str(pod["metadata"]["uid"])), zone_key) for pod in ordered)


def _pod(pod: Manifest, view: View | None, zone_key: str) -> PodSeen:
    meta = pod["metadata"]
    peer = view.peer if isinstance(view, PeerView) else None
    return PodSeen(meta["name"], ordinal(pod), peer, str((meta.get("labels") or {}).get(zone_key) or ""))


def _zone_key(cluster: Manifest) -> str:
    return str((cluster["spec"].get("shards") or {}).get("zoneKey") or "")


async def view_of(context: Context, endpoint: Endpoint) -> View:
    """What a peer says, or why it does not answer."""
    try:
        return await context.qdrant.observe(endpoint)
    except (Retryable, Refused) as error:
        return Silent(str(error))


def _knows(view: View, name: str) -> bool:
    return isinstance(view, PeerView) and name in _names(view)


def _names(view: PeerView) -> frozenset[str]:
    return frozenset(collection.name for collection in view.collections)


def _peer_to_ask(endpoints: Sequence[Endpoint], views: Sequence[View], name: str) -> Endpoint:
    pairs = list(zip(endpoints, views, strict=True))
    knowing = [endpoint for endpoint, view in pairs if _knows(view, name)]
    return (knowing or [endpoint for endpoint, view in pairs if isinstance(view, PeerView)])[0]


async def observe_collection(
    qdrant: Qdrant, endpoint: Endpoint, name: str, peers: Sequence[PeerView]
) -> Live | Absent | Silent:
    """What `endpoint` says of the collection; `peers` are the views of all peers that answer."""
    unaware = sum(not _knows(view, name) for view in peers)
    if unaware == len(peers):
        return Absent()
    try:
        answer = await qdrant.collection(endpoint, name)
    except (Retryable, Refused) as error:
        return Silent(str(error))
    return _live(answer, unaware)


def _live(answer: Json, unaware: int) -> Live:
    """`result` of GET /collections/{name}."""
    optimizer = answer.get("optimizer_status", "ok")
    return Live(
        config=answer["config"],
        indexes=answer.get("payload_schema") or {},
        points=answer.get("points_count") or 0,
        indexed_vectors=answer.get("indexed_vectors_count") or 0,
        segments=answer.get("segments_count") or 0,
        status=answer.get("status", "green"),
        optimizer=optimizer if isinstance(optimizer, str) else str(optimizer.get("error", optimizer)),
        unaware=unaware,
    )
