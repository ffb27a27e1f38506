"""Which pods a node drain may evict now.

A PodDisruptionBudget counts ready pods, and the replicas of a ready pod may still be recovering: a drain that evicts
the sound replica at that moment leaves none. So while anything is unsound or moving, the budget allows no eviction. A
pod that is the only unsound one is exempt: for each of its replicas every other holder is sound, so its eviction costs
no more than an eviction in a sound cluster, and the drain of its node must not wait for its recovery. Pods that are
not ready can always be evicted (`AlwaysAllow`).

A budget becomes stricter at once. It allows more only after `STEADY`: between two transfers of one plan nothing moves
for a moment, and a budget that follows each such moment is written every second.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from qdrant_operator.domain.cluster.observed import BootstrapPhase, Disruptions, Observed
from qdrant_operator.domain.qdrant.views import PeerId, PeerView

STEADY = timedelta(seconds=5)
"""For how long a budget must be safe before it allows more: longer than the pause between two steps of a plan."""


def plan_disruptions(observed: Observed) -> Disruptions:
    """The budget now: what is safe, and no more than before until that has been safe for `STEADY`."""
    safe, before = safe_disruptions(observed), observed.disruptions
    return safe if before is None or observed.steady >= STEADY else _stricter(before, safe)


def _stricter(before: Disruptions, safe: Disruptions) -> Disruptions:
    """What both budgets allow."""
    if before.allowed and safe.allowed:
        return before
    if before.allowed or safe.allowed:
        return safe if before.allowed else before
    return before if before.exempt == safe.exempt else Disruptions(0)


def safe_disruptions(observed: Observed) -> Disruptions:
    """One eviction while everything is sound and nothing moves, otherwise only that of the only unsound pod."""
    if observed.bootstrap is None or observed.bootstrap.phase is not BootstrapPhase.COMPLETE:
        return Disruptions()
    unsound = frozenset(_unsound(observed))
    if not unsound and not _is_moving(observed):
        return Disruptions()
    alone = next(iter(unsound)) if len(unsound) == 1 else None
    return Disruptions(0, alone if alone in {pod.name for pod in observed.pods} else None)


def _unsound(observed: Observed) -> Iterator[str]:
    """Pods whose peers do not answer, came back a moment ago or hold a replica that is not sound.

    A peer without a pod is named by its id: it counts, and no budget can exempt it.
    """
    yield from observed.silent
    yield from observed.just_back
    for shard in observed.shards:
        for peer in shard.holders - shard.sound:
            yield _pod(peer, observed)
        if not shard.holders:
            yield shard.label


def _pod(peer: PeerId, observed: Observed) -> str:
    known = (record.pod for record in observed.records if record.peer == peer)
    return observed.pod_of(peer) or next(known, f"peer {peer}")


def _is_moving(observed: Observed) -> bool:
    """A leader is being elected, a peer is leaving, or transfers are running."""
    return (
        observed.leader is None
        or observed.leaving is not None
        or any(_moves_shards(view) for view in observed.peers.values())
    )


def _moves_shards(view: PeerView) -> bool:
    return any(collection.transfers or collection.resharding for collection in view.collections)
