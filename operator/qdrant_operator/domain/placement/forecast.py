"""All steps to the settled placement: plan, apply every step to the layout, and plan again.

The loop never uses it: it carries out one step and reads the cluster again. The command line and the benchmarks show
the total.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.placement.model import Layout, Peer, Policy, Replica, RunningTransfer, Shard
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.placement.schedule.budgets import without_limits
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementPlan,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState

ROUNDS = 1000
"""Rounds after which a plan counts as endless, which would be a defect: every shard is settled after a few."""


def whole_plan(layout: Layout, policy: Policy) -> PlacementPlan:
    """Every step to the settled placement in order, if no step fails; `blocked` is what still waits at the end.

    Budgets decide when transfers run, not which, so they do not apply here; running transfers complete first.

    Raises:
        RuntimeError: the plan does not end, which would be a defect of the planner.
    """
    steps: list[PlacementStep] = []
    layout = complete(layout)
    for _ in range(ROUNDS):
        plan = plan_placement(layout, without_limits(policy))
        if not plan.steps:
            return Plan(tuple(steps), plan.blocked)
        steps.extend(plan.steps)
        layout = apply_all(layout, plan.steps)
    raise RuntimeError(
        f"no settled placement after {ROUNDS} rounds and {len(steps)} steps: report this layout"
    )


def apply(layout: Layout, step: PlacementStep) -> Layout:
    """The layout once the step and its transfer are done."""
    return apply_all(layout, (step,))


def apply_all(layout: Layout, steps: Iterable[PlacementStep]) -> Layout:
    """The layout once these steps are done; steps that are not placement's change nothing."""
    shards = {shard.ref: shard for shard in layout.shards}
    transfers = list(layout.transfers)
    free: dict[PeerId, int] = {}
    for step in steps:
        if isinstance(step, PlacementStep):
            before = shards[step.shard]
            shards[step.shard] = _after(before, step, transfers)
            _count(free, before, shards[step.shard])
    peers = tuple(_with_free(peer, free.get(peer.id, 0)) for peer in layout.peers)
    return replace(layout, peers=peers, shards=tuple(shards.values()), transfers=tuple(transfers))


def complete(layout: Layout) -> Layout:
    """The layout once the running transfers to peers that answer and stay are done."""
    answering = {peer.id for peer in layout.peers if peer.answers and not peer.lost and not peer.leaving}
    arriving = [t for t in layout.transfers if t.target in answering]
    shards = {shard.ref: shard for shard in layout.shards}
    for transfer in arriving:
        shard = _arrived(shards[transfer.ref], transfer.target)
        shards[transfer.ref] = shard if transfer.keeps_source else _left(shard, transfer.source)
    rest = tuple(transfer for transfer in layout.transfers if transfer not in arriving)
    return replace(layout, shards=tuple(shards.values()), transfers=rest)


def _after(shard: Shard, step: PlacementStep, transfers: list[RunningTransfer]) -> Shard:
    match step:
        case ReplicateShard():
            return _arrived(shard, step.target)
        case MoveShard():
            return _left(_arrived(shard, step.target), step.source)
        case DropReplica():
            return _left(shard, step.peer)
        case AbortTransfer():
            return _aborted(shard, step, transfers)


def _aborted(shard: Shard, step: AbortTransfer, transfers: list[RunningTransfer]) -> Shard:
    """An aborted replication leaves a Dead replica on its target; an aborted move leaves nothing."""
    ended = [t for t in transfers if (t.ref, t.source, t.target) == (step.shard, step.source, step.target)]
    for transfer in ended:
        transfers.remove(transfer)
    if not any(transfer.keeps_source for transfer in ended):
        return _left(shard, step.target)
    dead = Replica(step.target, ReplicaState.DEAD, sound=False)
    replicas = (dead if replica.peer == step.target else replica for replica in shard.replicas)
    return replace(shard, replicas=tuple(replicas))


def _arrived(shard: Shard, peer: PeerId) -> Shard:
    others = (replica for replica in shard.replicas if replica.peer != peer)
    arrived = Replica(peer, ReplicaState.ACTIVE, sound=True)
    return replace(shard, replicas=tuple(sorted((*others, arrived), key=lambda replica: replica.peer)))


def _left(shard: Shard, peer: PeerId) -> Shard:
    return replace(shard, replicas=tuple(replica for replica in shard.replicas if replica.peer != peer))


def _count(free: dict[PeerId, int], before: Shard, after: Shard) -> None:
    for peer in before.holders - after.holders:
        free[peer] = free.get(peer, 0) + before.bytes
    for peer in after.holders - before.holders:
        free[peer] = free.get(peer, 0) - before.bytes


def _with_free(peer: Peer, more: int) -> Peer:
    if peer.free_bytes is None or not more:
        return peer
    return replace(peer, free_bytes=max(0, peer.free_bytes + more))


def moved_bytes(steps: Iterable[PlacementStep]) -> int:
    """Bytes that these steps copy over the network."""
    return sum(step.bytes for step in steps if isinstance(step, ReplicateShard | MoveShard))
