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
from qdrant_operator.domain.placement.target.balance import band
from qdrant_operator.domain.qdrant.views import PeerId
from tests.domain.layouts import clusters, fail, finish, healthy, holders, of, start, steps_of

MANY = settings(max_examples=60, deadline=None)
SOME = settings(max_examples=40, deadline=None)
LONGEST = 200
"""Steps that no generated cluster needs: eight shards of three replicas."""


def prefixes(before: Layout) -> Iterator[tuple[Layout, PlacementStep]]:
    """As the loop does: plan, carry out the first step, read the cluster again."""
    for _ in range(LONGEST):
        plan = plan_placement(before, Policy())
        if not plan.steps:
            return
        step = steps_of(plan.steps)[0]
        yield before, step
        before = apply(before, step)
    raise AssertionError("the plan does not end")


def zones_of(before: Layout, shard: Shard) -> int:
    """Zones in which the shard has a sound replica."""
    zones = {peer.id: peer.zone for peer in before.peers}
    return len({zones[held] for held in shard.sound})


def settled(before: Layout) -> Layout:
    """Where the loop ends when nothing new happens."""
    for at, step in prefixes(complete(before)):
        before = apply(at, step)
    return complete(before)


@MANY
@given(clusters())
def test_safe(before: Layout) -> None:
    """No step leaves fewer sound replicas than are wanted or exist, duplicates one, or targets a forbidden peer."""
    for at, step in prefixes(before):
        shard, after = of(at, step.shard), of(apply(at, step), step.shard)
        assert len(after.sound) >= min(max(1, shard.factor), len(shard.sound))
        assert after.sound or not shard.sound
        assert len(after.replicas) == len(after.holders)
        assert not shard.disputed
        assert step_is_legal(at, shard, step)


def step_is_legal(at: Layout, shard: Shard, step: PlacementStep) -> bool:
    """Qdrant would accept it, and what Qdrant does not check is so as well."""
    peers = {peer.id: peer for peer in at.peers}
    busy = any(transfer.ref == shard.ref for transfer in at.transfers)
    match step:
        case ReplicateShard() | MoveShard():
            target = peers[step.target]
            room = target.free_bytes is None or target.free_bytes > shard.bytes * 1.5
            fit = target.answers and not target.leaving and not target.lost and room
            allowed = shard.allowed is None or step.target in shard.allowed
            return (
                step.source in shard.sound
                and step.target not in shard.holders
                and fit
                and allowed
                and not busy
            )
        case DropReplica():
            return step.peer in shard.holders and not busy
        case AbortTransfer():
            return busy


@MANY
@given(healthy())
def test_zones_never_get_worse(before: Layout) -> None:
    """A step leaves a shard in as many zones as before, unless the zone has no peer that stays or the factor falls."""
    staying = {peer.zone for peer in before.peers if not peer.leaving}
    gone = {peer.zone for peer in before.peers} - staying
    for at, step in prefixes(before):
        shard, after = of(at, step.shard), of(apply(at, step), step.shard)
        zones = {peer.id: peer.zone for peer in at.peers}
        lost = {zones[held] for held in shard.sound} & gone
        most = min(zones_of(at, shard) - len(lost), shard.factor)
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
            works = next(peer.answers for peer in before.peers if peer.id == running.target)
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
    """At its factor on peers that stay, or blocked by name; balanced where nothing else waits."""
    plan = plan_placement(before, Policy())
    stays = {peer.id for peer in before.peers if not peer.leaving and not peer.lost}
    for shard in before.shards:
        may = stays if shard.allowed is None else stays & shard.allowed
        named = any(shard.label in blocked.message for blocked in plan.blocked)
        assert named or (
            len(shard.sound) == max(1, shard.factor) and shard.sound == shard.holders and shard.holders <= may
        )


@SOME
@given(healthy())
def test_resumable_to_the_same_placement(before: Layout) -> None:
    """Planned again after every step, the steps lead to the same placement as the first plan."""
    end = before
    ends = []
    for at, _ in prefixes(before):
        plan = whole_plan(at, Policy())
        end = at
        for step in plan.steps:
            end = apply(end, step)
        ends.append(holders(end))
    assert all(shard == ends[0] for shard in ends)


@MANY
@given(clusters(), st.randoms(use_true_random=False))
def test_deterministic(before: Layout, random: object) -> None:
    """The order in which peers, shards, replicas and transfers are listed changes nothing."""
    shuffle = random.shuffle  # type: ignore[attr-defined]
    peers, shards, transfers = list(before.peers), list(before.shards), list(before.transfers)
    for items in (peers, shards, transfers):
        shuffle(items)
    turned = [replace(shard, replicas=shard.replicas[::-1]) for shard in shards]
    other = Layout(tuple(peers), tuple(turned), tuple(transfers), before.unsettled, before.waits)
    assert plan_placement(other, Policy()) == plan_placement(before, Policy())


@MANY
@given(clusters(), st.sampled_from(Mode))
def test_every_shard_is_named(before: Layout, mode: Mode) -> None:
    """Each step and each blocked step has a text, and each shard that is not as wanted is named by one of them."""
    plan = plan_placement(before, Policy(mode))
    words = [str(step) for step in plan.steps] + [f"{b.step} {b.message}" for b in plan.blocked]
    assert all(words)
    assert all(blocked.step and blocked.message for blocked in plan.blocked)
    stays = {peer.id for peer in before.peers if not peer.leaving and not peer.lost}
    for shard in before.shards:
        may = stays if shard.allowed is None else stays & shard.allowed
        fine = (
            len(shard.sound) == max(1, shard.factor)
            and shard.sound == shard.holders <= may
            and not shard.disputed
        )
        moving = any(transfer.ref == shard.ref for transfer in before.transfers)
        assert (fine and not moving) or any(shard.label in text for text in words), shard


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
    """No settled placement is reached with fewer bytes; checked here by enumeration of all placements."""
    stays = [peer for peer in before.peers if not peer.leaving]
    assume(len(stays) <= 4 and all(shard.factor <= len(stays) for shard in before.shards))
    choices = [list(combinations([peer.id for peer in stays], shard.factor)) for shard in before.shards]
    ranked = min((_rank(before, chosen), _cost(before, chosen)) for chosen in product(*choices))
    end = settled(before)
    reached = [tuple(sorted(shard.holders)) for shard in sorted(end.shards, key=lambda shard: shard.ref)]
    assert _rank(before, reached) == ranked[0]
    assert moved_bytes(whole_plan(before, Policy()).steps) == ranked[1]


def _rank(before: Layout, chosen: object) -> tuple[int, int, int]:
    """The objectives above bytes: zones, groups, totals beyond the band; smaller is better."""
    zones = {peer.id: peer.zone for peer in before.peers}
    stays = [peer.id for peer in before.peers if not peer.leaving]
    placed = list(zip(before.shards, chosen, strict=True))  # type: ignore[call-overload]
    spread = sum(n * n for _, held in placed for n in Counter(zones[p] for p in held).values())
    counts = Counter((shard.ref[0], p) for shard, held in placed for p in held)
    totals = Counter(p for _, held in placed for p in held)
    low, high = band(totals.total(), len(stays))
    beyond = sum(max(0, totals[p] - high) + max(0, low - totals[p]) for p in stays)
    return spread, sum(n * n for n in counts.values()), beyond


def _cost(before: Layout, chosen: object) -> int:
    placed = zip(before.shards, chosen, strict=True)  # type: ignore[call-overload]
    return sum(shard.bytes * len(set(held) - shard.holders) for shard, held in placed)


@MANY
@given(healthy(zones=1))
def test_settled_is_balanced(before: Layout) -> None:
    """Without zones every collection ends with peers that differ by one replica at most."""
    assert imbalance(settled(before)) <= 1 or plan_placement(settled(before), Policy()).blocked
