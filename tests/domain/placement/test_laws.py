"""The planner's laws over whole generated clusters, after every prefix of every plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qdrant_operator.domain.placement.forecast import apply, complete, moved_bytes, whole_plan
from qdrant_operator.domain.placement.model import Layout, Mode, Policy, Shard
from qdrant_operator.domain.placement.planner import imbalance, plan_placement
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.domain.placement.target.level import band
from qdrant_operator.domain.qdrant.views import PeerId
from tests.domain.layouts import clusters, fail, finish, healthy, holders, of, start, steps_of

MANY = settings(max_examples=60, deadline=None)
SOME = settings(max_examples=40, deadline=None)
LONGEST = 200
"""Steps that no generated cluster needs: eight shards of three replicas."""


def prefixes(before: Layout) -> Iterator[tuple[Layout, PlacementStep]]:
    """As the loop goes: plan, carry out the first step, look again."""
    for _ in range(LONGEST):
        plan = plan_placement(before, Policy())
        if not plan.steps:
            return
        step = steps_of(plan.steps)[0]
        yield before, step
        before = apply(before, step)
    raise AssertionError("the plan does not end")


def zones_of(before: Layout, one: Shard) -> int:
    """Zones in which the shard has a sound replica."""
    zones = {member.id: member.zone for member in before.peers}
    return len({zones[held] for held in one.sound})


def settled(before: Layout) -> Layout:
    """Where the loop ends when nothing new happens."""
    for at, step in prefixes(complete(before)):
        before = apply(at, step)
    return complete(before)


@MANY
@given(clusters())
def test_safe(before: Layout) -> None:
    """No step takes sound replicas below what is wanted or there, doubles one, or aims at a peer it must not use."""
    for at, step in prefixes(before):
        one, after = of(at, step.shard), of(apply(at, step), step.shard)
        assert len(after.sound) >= min(max(1, one.factor), len(one.sound))
        assert after.sound or not one.sound
        assert len(after.replicas) == len(after.holders)
        assert not one.disputed
        assert step_is_legal(at, one, step)


def step_is_legal(at: Layout, one: Shard, step: PlacementStep) -> bool:
    """Qdrant would accept it, and what Qdrant does not check is so as well."""
    peers = {member.id: member for member in at.peers}
    busy = any(transfer.ref == one.ref for transfer in at.transfers)
    match step:
        case ReplicateShard() | MoveShard():
            target = peers[step.target]
            room = target.free_bytes is None or target.free_bytes > one.bytes * 1.5
            fit = target.answers and not target.leaving and not target.lost and room
            allowed = one.allowed is None or step.target in one.allowed
            return (
                step.source in one.sound and step.target not in one.holders and fit and allowed and not busy
            )
        case DropReplica():
            return step.peer in one.holders and not busy
        case AbortTransfer():
            return busy


@MANY
@given(healthy())
def test_zones_never_get_worse(before: Layout) -> None:
    """A step leaves a shard in as many zones as before, unless the zone has no peer that stays or the factor falls."""
    staying = {member.zone for member in before.peers if not member.leaving}
    gone = {member.zone for member in before.peers} - staying
    for at, step in prefixes(before):
        one, after = of(at, step.shard), of(apply(at, step), step.shard)
        zones = {member.id: member.zone for member in at.peers}
        lost = {zones[held] for held in one.sound} & gone
        most = min(zones_of(at, one) - len(lost), one.factor)
        assert zones_of(at, after) >= most


@MANY
@given(clusters(), st.data())
def test_resumable(before: Layout, data: st.DataObject) -> None:
    """From every prefix, with transfers under way, done or aborted, the loop ends with every shard as it is wanted."""
    policy = Policy(per_cluster=data.draw(st.integers(1, 3)))
    for _ in range(LONGEST):
        steps = steps_of(plan_placement(before, policy).steps)
        if before.transfers and (not steps or data.draw(st.booleans())):
            running = data.draw(st.sampled_from(before.transfers))
            works = next(member.answers for member in before.peers if member.id == running.target)
            failing = not works or data.draw(st.integers(0, 5)) == 0
            before = (fail if failing else finish)(before, running)
        elif steps:
            before = start(before, steps[0])
        else:
            break
    else:
        raise AssertionError("the loop does not end")
    assert_as_wanted(before)


def assert_as_wanted(before: Layout) -> None:
    """At its factor on peers that stay, or blocked by name; levelled where nothing else waits."""
    plan = plan_placement(before, Policy())
    stays = {member.id for member in before.peers if not member.leaving and not member.lost}
    for one in before.shards:
        may = stays if one.allowed is None else stays & one.allowed
        named = any(one.label in blocked.message for blocked in plan.blocked)
        assert named or (
            len(one.sound) == max(1, one.factor) and one.sound == one.holders and one.holders <= may
        )


@SOME
@given(healthy())
def test_resumable_to_the_same_placement(before: Layout) -> None:
    """Planned anew after every step, the way leads to the very placement that the first plan had in mind."""
    end = before
    ends = []
    for at, _ in prefixes(before):
        plan = whole_plan(at, Policy())
        end = at
        for step in plan.steps:
            end = apply(end, step)
        ends.append(holders(end))
    assert all(one == ends[0] for one in ends)


@MANY
@given(clusters(), st.randoms(use_true_random=False))
def test_deterministic(before: Layout, random: object) -> None:
    """The order in which peers, shards, replicas and transfers are listed changes nothing."""
    shuffle = random.shuffle  # type: ignore[attr-defined]
    peers, shards, transfers = list(before.peers), list(before.shards), list(before.transfers)
    for items in (peers, shards, transfers):
        shuffle(items)
    turned = [replace(one, replicas=one.replicas[::-1]) for one in shards]
    other = Layout(tuple(peers), tuple(turned), tuple(transfers), before.unsettled, before.waits)
    assert plan_placement(other, Policy()) == plan_placement(before, Policy())


@MANY
@given(clusters(), st.sampled_from(Mode))
def test_sayable(before: Layout, mode: Mode) -> None:
    """Each step and each wait has words, and each shard that is not as wanted is named by one of them."""
    plan = plan_placement(before, Policy(mode))
    words = [str(step) for step in plan.steps] + [f"{b.step} {b.message}" for b in plan.blocked]
    assert all(words)
    assert all(blocked.step and blocked.message for blocked in plan.blocked)
    stays = {member.id for member in before.peers if not member.leaving and not member.lost}
    for one in before.shards:
        may = stays if one.allowed is None else stays & one.allowed
        fine = len(one.sound) == max(1, one.factor) and one.sound == one.holders <= may and not one.disputed
        moving = any(transfer.ref == one.ref for transfer in before.transfers)
        assert (fine and not moving) or any(one.label in text for text in words), one


@MANY
@given(healthy())
def test_frugal_nothing_moves_twice(before: Layout) -> None:
    """No peer receives a shard that it gave away or gives away one that it received; settled clusters rest."""
    got: set[tuple[object, PeerId]] = set()
    gave: set[tuple[object, PeerId]] = set()
    for _, step in prefixes(before):
        if isinstance(step, MoveShard | ReplicateShard):
            assert (step.shard, step.target) not in gave
            got.add((step.shard, step.target))
        if isinstance(step, MoveShard | DropReplica):
            source = step.source if isinstance(step, MoveShard) else step.peer
            assert (step.shard, source) not in got
            gave.add((step.shard, source))
    assert plan_placement(settled(before), Policy()).steps == ()


@MANY
@given(healthy())
def test_whole_plan_is_what_the_loop_does(before: Layout) -> None:
    """The foreseen total moves as many bytes as the loop does step by step, and leaves the same placement."""
    whole = whole_plan(before, Policy())
    stepwise = [step for _, step in prefixes(before)]
    assert moved_bytes(whole.steps) == moved_bytes(stepwise)
    end = before
    for step in whole.steps:
        end = apply(end, step)
    assert holders(end) == holders(settled(before))


@SOME
@given(healthy(zones=2, most_shards=4))
def test_frugal_bytes_are_the_optimum(before: Layout) -> None:
    """Among all settled placements no one is reached with fewer bytes; found here by looking at every one."""
    stays = [member for member in before.peers if not member.leaving]
    assume(len(stays) <= 4 and all(one.factor <= len(stays) for one in before.shards))
    choices = [list(combinations([member.id for member in stays], one.factor)) for one in before.shards]
    ranked = min((_rank(before, chosen), _cost(before, chosen)) for chosen in product(*choices))
    end = settled(before)
    reached = [tuple(sorted(one.holders)) for one in sorted(end.shards, key=lambda one: one.ref)]
    assert _rank(before, reached) == ranked[0]
    assert moved_bytes(whole_plan(before, Policy()).steps) == ranked[1]


def _rank(before: Layout, chosen: object) -> tuple[int, int, int]:
    """The aims above bytes: zones, groups, totals beyond the band; smaller is better."""
    zones = {member.id: member.zone for member in before.peers}
    stays = [member.id for member in before.peers if not member.leaving]
    placed = list(zip(before.shards, chosen, strict=True))  # type: ignore[call-overload]
    spread = sum(n * n for _, held in placed for n in Counter(zones[p] for p in held).values())
    counts = Counter((one.ref[0], p) for one, held in placed for p in held)
    totals = Counter(p for _, held in placed for p in held)
    low, high = band(totals.total(), len(stays))
    beyond = sum(max(0, totals[p] - high) + max(0, low - totals[p]) for p in stays)
    return spread, sum(n * n for n in counts.values()), beyond


def _cost(before: Layout, chosen: object) -> int:
    placed = zip(before.shards, chosen, strict=True)  # type: ignore[call-overload]
    return sum(one.bytes * len(set(held) - one.holders) for one, held in placed)


@MANY
@given(healthy(zones=1))
def test_settled_is_level(before: Layout) -> None:
    """Without zones every collection ends with peers that differ by one replica at most."""
    assert imbalance(settled(before)) <= 1 or plan_placement(settled(before), Policy()).blocked
