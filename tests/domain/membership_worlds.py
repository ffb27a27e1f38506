"""Clusters of which one peer is being removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase, Observed, PeerRecord, Volume
from qdrant_operator.domain.cluster.steps import ClusterPlan, Step
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common.guards import Guard
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import PeerId, View
from tests.domain.clusters import collection, desired, pod, seen, view

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CREATED = "2026-11-21T11:00:00Z"
TOP = PeerId(103)
REMOVING = Leaving("vectors-3", TOP, "claim-3", LeavingPhase.REMOVING)
REMOVED = replace(REMOVING, phase=LeavingPhase.REMOVED)


def volumes(count: int) -> dict[str, Volume]:
    """The claims of so many pods."""
    return {f"storage-vectors-{n}": Volume(f"claim-{n}", CREATED) for n in range(count)}


def records(count: int) -> tuple[PeerRecord, ...]:
    """status.members of so many pods."""
    return tuple(PeerRecord(f"vectors-{n}", PeerId(100 + n), f"claim-{n}") for n in range(count))


def four(placement: Mapping[int, tuple[int, ...]] | None = None, **changes: Any) -> Observed:
    """Four peers of which the last holds nothing, unless the placement says otherwise."""
    placed = placement or {0: (0, 1), 1: (1, 2), 2: (0, 2)}
    views: dict[str, View] = {
        f"vectors-{n}": view(n, 4, collections=(collection(n, placed),)) for n in range(4)
    }
    pods = tuple(pod(n, created=CREATED) for n in range(4))
    facts: dict[str, Any] = {
        "stateful_set_replicas": 4,
        "volumes": volumes(4),
        "records": records(4),
        "now": NOW,
        **changes,
    }
    return seen(pods, views, **facts)


def out(observed: Observed, **changes: Any) -> Observed:
    """The same, with vectors-3 out of the client Service."""
    return replace(observed, pods=(*observed.pods[:3], replace(observed.pods[3], serving=False)), **changes)


def without_top(observed: Observed) -> Observed:
    """The survivors know vectors-3 no more."""
    views: dict[str, View] = {
        name: replace(observed.peers[name], peers=dict(list(observed.peers[name].peers.items())[:3]))
        for name in ("vectors-0", "vectors-1", "vectors-2")
    }
    return replace(
        observed,
        pods=observed.pods[:3],
        removed_pod=observed.pods[3],
        views=views,
        shards=shard_health(tuple(views.values())),
    )


def three(pods: int = 4, **spec: Any) -> DesiredCluster:
    """Three peers are wanted."""
    return replace(desired(3, **spec), pod_count=pods)


def guards(result: ClusterPlan) -> set[Guard]:
    """What blocks the plan."""
    return {wait.guard for wait in result.blocked}


def first(result: ClusterPlan) -> Step:
    """The step that is carried out before the next look."""
    return result.steps[0]
