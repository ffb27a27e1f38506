"""Small clusters for tests: settled ones, and ways to hurt them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.decision import Changes, Decision
from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Drift, Observed, PodState
from qdrant_operator.domain.cluster.steps import NOTHING, ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import Credentials, DesiredCluster
from qdrant_operator.domain.manifests.stateful_set import template_hash
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    LocalReplica,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardView,
    Silent,
    View,
)

COMPLETE = Bootstrap(BootstrapPhase.COMPLETE, "vectors-0", PeerId(100))


def desired(replicas: int = 3, **spec: Any) -> DesiredCluster:
    """A wanted cluster named vectors."""
    parsed = ClusterSpec.model_validate({"version": "v1.19.0", "replicas": replicas, **spec})
    return DesiredCluster(
        "vectors", "default", "uid-1", parsed, Credentials("secret"), pod_count=replicas, version="v1.19.0"
    )


def pod(ordinal: int, wanted: DesiredCluster | None = None, **changes: Any) -> PodState:
    """A healthy pod of the wanted template."""
    healthy = PodState(
        name=f"vectors-{ordinal}",
        ordinal=ordinal,
        uid=f"pod-{ordinal}",
        address=f"10.0.0.{ordinal}",
        ready=True,
        serving=True,
        terminating=False,
        template_hash=template_hash(wanted or desired()),
    )
    return replace(healthy, **changes)


def view(
    ordinal: int,
    peers: int = 3,
    *,
    leader: int = 0,
    collections: tuple[CollectionView, ...] = (),
    **changes: Any,
) -> PeerView:
    """What a healthy peer says; peer ids are 100, 101, …"""
    members = {PeerId(100 + n): f"http://vectors-{n}.vectors-peers.default.svc:6335/" for n in range(peers)}
    healthy = PeerView(
        peer=PeerId(100 + ordinal),
        peers=members,
        leader=PeerId(100 + leader),
        term=1,
        commit=20,
        pending=0,
        voter=True,
        consensus_working=True,
        version="1.19.0",
        collections=collections,
    )
    return replace(healthy, **changes)


def collection(
    own: int,
    placement: Mapping[int, tuple[int, ...]],
    *,
    factor: int = 2,
    points: dict[tuple[int, int], int | None] | None = None,
    states: dict[tuple[int, int], ReplicaState] | None = None,
    name: str = "docs",
) -> CollectionView:
    """A collection as peer `own` shows it: shard → ordinals of its holders."""
    counts, told = points or {}, states or {}
    shards = tuple(
        ShardView(
            ShardId(shard),
            None,
            {PeerId(100 + holder): told.get((shard, holder), ReplicaState.ACTIVE) for holder in holders},
            LocalReplica(counts.get((shard, own), 1000), 64_000, dummy=counts.get((shard, own), 1) is None)
            if own in holders
            else None,
        )
        for shard, holders in placement.items()
    )
    return CollectionView(name, len(placement), factor, 1, sharding_custom=False, shards=shards)


def settled(wanted: DesiredCluster | None = None, **changes: Any) -> Observed:
    """A formed cluster with every pod ready and one collection of two shards on every pair of peers."""
    wanted = wanted or desired()
    count = wanted.spec.replicas
    placement: Mapping[int, tuple[int, ...]] = (
        {n: (n % count, (n + 1) % count) for n in range(count)} if count > 1 else {0: (0,)}
    )
    factor = 2 if count > 1 else 1
    views: dict[str, View] = {
        f"vectors-{n}": view(n, count, collections=(collection(n, placement, factor=factor),))
        for n in range(count)
    }
    return seen(tuple(pod(n, wanted) for n in range(count)), views, stateful_set_replicas=count, **changes)


def seen(pods: tuple[PodState, ...], views: Mapping[str, View], **changes: Any) -> Observed:
    """A look at these pods and views."""
    base = Observed(COMPLETE, pods, views, shards=shard_health(tuple(views.values())))
    return replace(base, **changes)


def silence(observed: Observed, *pods: str, reason: str = "no answer in 3 s") -> Observed:
    """The same look where these peers do not answer."""
    views: dict[str, View] = {
        name: Silent(reason) if name in pods else found for name, found in observed.views.items()
    }
    return replace(observed, views=views, shards=shard_health(tuple(views.values())))


def decided(
    observed: Observed,
    wanted: DesiredCluster | None = None,
    plan: ClusterPlan = NOTHING,
    drift: tuple[Drift, ...] = (),
) -> Decision:
    """A decision on this look, where this much is planned."""
    return Decision(wanted or desired(), observed, Changes(drift), plan, highest_version="v1.19.0")
