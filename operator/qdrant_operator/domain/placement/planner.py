"""Where replicas go: protect > repair > drain > replicate > balance.

`plan_placement` is a pure function of one layout: it computes the target, takes the difference to what is there, and
keeps the steps that may start now. What waits is in `Plan.blocked` with its guard. Nothing is kept from pass to
pass: see `target.compute` for why that is enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.placement.classify import Classification, GroupKey, ShardReplicas, classify
from qdrant_operator.domain.placement.explain import waits
from qdrant_operator.domain.placement.model import Layout, Mode, Policy, Shard
from qdrant_operator.domain.placement.next_step import Copy, Priority, Remove, next_action
from qdrant_operator.domain.placement.schedule.budgets import Budget, without_limits
from qdrant_operator.domain.placement.schedule.queues import Queues
from qdrant_operator.domain.placement.steps import PlacementPlan, PlacementStep
from qdrant_operator.domain.placement.target.compute import find_target
from qdrant_operator.domain.qdrant.views import PeerId

MANUAL = "spec.shards.placement is Manual: set it to Auto, or do this with Qdrant's API"
CLOSED = "balancing waits for the maintenance window (spec.shards.window)"


def plan_placement(layout: Layout, policy: Policy) -> PlacementPlan:
    """Steps that may start now, most urgent first, and everything that waits.

    Each step is safe on its own and together with those before it: they concern different shards.
    """
    if layout.unsettled:
        unsettled = f"{layout.unsettled}: waiting"
        return Plan(blocked=(Blocked("place shards", ClusterGuard.CONSENSUS_UNSETTLED, unsettled),))
    classification = classify(layout)
    balanced = policy.mode is not Mode.DRAIN_ONLY and policy.may_balance
    needs = _find_needs(classification, policy, balanced=balanced)
    if policy.mode is Mode.MANUAL:
        held_back = _held_back(needs, layout, policy, (ClusterGuard.MANUAL_PLACEMENT, MANUAL))
        return Plan(blocked=held_back + tuple(blocked for _, blocked in needs.waiting))
    plan = _start(needs, layout, policy)
    if policy.mode is Mode.AUTO and not policy.may_balance and not needs.pending:
        later = _find_needs(classification, policy, balanced=True)
        plan += Plan(blocked=_held_back(later, layout, policy, (ClusterGuard.OUTSIDE_WINDOW, CLOSED)))
    return plan


@dataclass(frozen=True, slots=True)
class _Needs:
    """Everything that the shards need to reach the target, and everything that waits."""

    classification: Classification
    removes: Sequence[Remove]
    copies: Sequence[Copy]
    waiting: Sequence[tuple[Priority, Blocked]]

    @property
    def pending(self) -> bool:
        """Something more urgent than balancing is needed or waits."""
        priorities = [remove.priority for remove in self.removes]
        priorities += [copy.priority for copy in self.copies]
        priorities += [priority for priority, _ in self.waiting]
        return any(priority < Priority.BALANCE for priority in priorities)


def _find_needs(classification: Classification, policy: Policy, *, balanced: bool) -> _Needs:
    target = find_target(classification, balanced=balanced)
    removes: list[Remove] = []
    copies: list[Copy] = []
    waiting: list[tuple[Priority, Blocked]] = []
    queues = Queues()
    for replicas in classification.shards:
        holders = target.holders[replicas.shard.ref]
        if is_settled(replicas, holders) and replicas.shard.ref not in target.short:
            continue
        queues.add(replicas, holders)
        action = next_action(replicas, holders, classification)
        if isinstance(action, Remove):
            removes.append(action)
        elif action is not None:
            copies.append(action)
        waiting.extend(waits(replicas, target, classification))
    removes.sort(key=lambda remove: (remove.priority, remove.replicas.shard.ref))
    return _Needs(classification, removes, queues.in_order(copies, policy), waiting)


def is_settled(replicas: ShardReplicas, target: frozenset[PeerId]) -> bool:
    """Every replica is sound and on its peer of the target, no transfer runs, and no view contradicts that."""
    there = len(replicas.sound) == len(replicas.shard.replicas) and target == set(replicas.sound)
    return there and bool(replicas.sound) and not replicas.running and not replicas.shard.disputed


def _start(needs: _Needs, layout: Layout, policy: Policy) -> PlacementPlan:
    """Removals at once, then transfers within the budget; balancing only while nothing else is needed."""
    budget, pending = Budget(layout, policy, needs.classification), needs.pending
    steps: list[tuple[Priority, PlacementStep]] = [(remove.priority, remove.step) for remove in needs.removes]
    blocked = [blocked for _, blocked in needs.waiting]
    for copy in needs.copies:
        if copy.priority is Priority.BALANCE and pending:
            continue
        granted = budget.grant(copy)
        if isinstance(granted, Blocked):
            blocked.append(granted)
        else:
            steps.append((copy.priority, granted))
    steps.sort(key=lambda step: step[0])
    return Plan(tuple(step for _, step in steps), tuple(blocked))


def _held_back(
    needs: _Needs, layout: Layout, policy: Policy, why: tuple[ClusterGuard, str]
) -> tuple[Blocked, ...]:
    """Every step that would start, blocked by one guard, and every transfer that has no room."""
    plan = _start(needs, layout, without_limits(policy))
    refused = plan.blocked[len(needs.waiting) :]
    return tuple(Blocked(str(step), *why) for step in plan.steps) + refused


def imbalance(layout: Layout) -> int:
    """Largest difference of replica counts between two peers in one collection, or one shard key of it.

    Counted over the peers that may hold it: neither leaving nor lost, and allowed. A balanced cluster has at most 1
    (3 replicas on 2 peers cannot do better), or more where zones of unequal size forbid it.
    """
    classification = classify(layout)
    counts: dict[GroupKey, Counter[PeerId]] = {}
    allowed: dict[GroupKey, int] = {}
    for replicas in classification.shards:
        shard = replicas.shard
        counted = counts.setdefault(replicas.group, Counter())
        counted.update(peer for peer in shard.holders if classification.may_hold(shard, peer))
        if replicas.group not in allowed:
            allowed[replicas.group] = _allowed_peers(classification, shard)
    return max((_difference(counts[group], allowed[group]) for group in counts), default=0)


def _allowed_peers(classification: Classification, shard: Shard) -> int:
    if shard.allowed is None:
        return len(classification.eligible)
    return sum(1 for peer in shard.allowed if classification.may_hold(shard, peer))


def _difference(counted: Counter[PeerId], peers: int) -> int:
    fewest = 0 if len(counted) < peers else min(counted.values(), default=0)
    return max(counted.values(), default=0) - fewest
