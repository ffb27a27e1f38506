"""Where replicas go: protect > repair > drain > replicate > level.

`plan_placement` is a pure function of one layout: it computes where every replica belongs, takes the difference,
and keeps the steps that may start now. What waits is in `Plan.blocked` with its guard. Nothing is remembered from
pass to pass: see `target` for why that is enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.placement.classify import Case, Census, GroupKey, take_census
from qdrant_operator.domain.placement.explain import waits
from qdrant_operator.domain.placement.model import Layout, Mode, Policy, Shard
from qdrant_operator.domain.placement.next_step import Aim, Copy, Remove, Wish, next_wish
from qdrant_operator.domain.placement.schedule.budgets import Budget, without_limits
from qdrant_operator.domain.placement.schedule.queues import Queues
from qdrant_operator.domain.placement.steps import PlacementPlan, PlacementStep
from qdrant_operator.domain.placement.target.compute import find_target
from qdrant_operator.domain.qdrant.views import PeerId

MANUAL = "spec.shards.placement is Manual: set it to Auto, or do this with Qdrant's API"
CLOSED = "levelling waits for the maintenance window (spec.shards.window)"


def plan_placement(layout: Layout, policy: Policy) -> PlacementPlan:
    """Steps that may start now, most urgent first, and everything that waits.

    Each step is safe on its own and together with those before it: they concern different shards.
    """
    if layout.unsettled:
        return Plan(
            blocked=(
                Blocked("place shards", ClusterGuard.CONSENSUS_UNSETTLED, f"{layout.unsettled}: waiting"),
            )
        )
    census = take_census(layout)
    found = _look(census, policy, levelled=policy.mode is not Mode.DRAIN_ONLY and policy.may_level)
    if policy.mode is Mode.MANUAL:
        waiting = tuple(blocked for _, blocked in found.waiting)
        return Plan(
            blocked=_held_back(found, layout, policy, (ClusterGuard.MANUAL_PLACEMENT, MANUAL)) + waiting
        )
    plan = _start(found, layout, policy)
    if policy.mode is Mode.AUTO and not policy.may_level and not found.pending:
        later = _look(census, policy, levelled=True)
        plan += Plan(blocked=_held_back(later, layout, policy, (ClusterGuard.OUTSIDE_WINDOW, CLOSED)))
    return plan


@dataclass(frozen=True, slots=True)
class _Found:
    """Everything that is wanted, and everything that is waited for."""

    census: Census
    removes: Sequence[Remove]
    copies: Sequence[Copy]
    waiting: Sequence[tuple[Aim, Blocked]]

    @property
    def pending(self) -> bool:
        """Something more urgent than levelling is wanted or waited for."""
        wishes: Iterable[Wish] = chain(self.removes, self.copies)
        aims = chain((wish.aim for wish in wishes), (aim for aim, _ in self.waiting))
        return any(aim < Aim.LEVEL for aim in aims)


def _look(census: Census, policy: Policy, *, levelled: bool) -> _Found:
    target = find_target(census, levelled=levelled)
    wishes: list[Wish] = []
    waiting: list[tuple[Aim, Blocked]] = []
    queues = Queues()
    for case in census.cases:
        holders = target.holders[case.shard.ref]
        if is_settled(case, holders) and case.shard.ref not in target.short:
            continue
        queues.add(case, holders)
        wish = next_wish(case, holders, census)
        if wish is not None:
            wishes.append(wish)
        waiting.extend(waits(case, target, census))
    removes = sorted((w for w in wishes if isinstance(w, Remove)), key=lambda w: (w.aim, w.case.shard.ref))
    return _Found(
        census, removes, queues.in_order([w for w in wishes if isinstance(w, Copy)], policy), waiting
    )


def is_settled(case: Case, target: frozenset[PeerId]) -> bool:
    """Every replica is sound and where it belongs, nothing is on its way, and nobody contradicts that."""
    there = len(case.sound) == len(case.shard.replicas) and target == set(case.sound)
    return there and bool(case.sound) and not case.running and not case.shard.disputed


def _start(found: _Found, layout: Layout, policy: Policy) -> PlacementPlan:
    """Removals at once, then transfers while the budget lasts; levelling only when nothing else is wanted."""
    budget, pending = Budget(layout, policy, found.census), found.pending
    steps: list[tuple[Aim, PlacementStep]] = [(remove.aim, remove.step) for remove in found.removes]
    blocked = [blocked for _, blocked in found.waiting]
    for copy in found.copies:
        if copy.aim is Aim.LEVEL and pending:
            continue
        granted = budget.grant(copy)
        if isinstance(granted, Blocked):
            blocked.append(granted)
        else:
            steps.append((copy.aim, granted))
    return Plan(tuple(step for _, step in sorted(steps, key=lambda item: item[0])), tuple(blocked))


def _held_back(
    found: _Found, layout: Layout, policy: Policy, why: tuple[ClusterGuard, str]
) -> tuple[Blocked, ...]:
    """Every step that would be taken, under one guard, and what there would be no room for."""
    plan = _start(found, layout, without_limits(policy))
    refused = plan.blocked[len(found.waiting) :]
    return tuple(Blocked(str(step), *why) for step in plan.steps) + refused


def imbalance(layout: Layout) -> int:
    """Largest difference of replica counts between two peers in one collection, or one shard key of it.

    Counted over the peers that may hold it: neither leaving nor lost, and allowed. A levelled cluster has at most 1
    (3 replicas on 2 peers cannot do better), or more where zones of unequal size forbid it.
    """
    census = take_census(layout)
    counts: dict[GroupKey, Counter[PeerId]] = {}
    allowed: dict[GroupKey, int] = {}
    for case in census.cases:
        counted = counts.setdefault(case.group, Counter())
        counted.update(peer for peer in case.shard.holders if census.may_hold(case.shard, peer))
        if case.group not in allowed:
            allowed[case.group] = _room(census, case.shard)
    return max((_difference(counts[group], allowed[group]) for group in counts), default=0)


def _room(census: Census, shard: Shard) -> int:
    if shard.allowed is None:
        return len(census.eligible)
    return sum(1 for peer in shard.allowed if census.may_hold(shard, peer))


def _difference(counted: Counter[PeerId], peers: int) -> int:
    fewest = 0 if len(counted) < peers else min(counted.values(), default=0)
    return max(counted.values(), default=0) - fewest
