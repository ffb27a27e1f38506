"""The planner's bench measures what it says: its bounds are bounds, its greedy rival plays by the rules."""

from __future__ import annotations

import pytest

from bench.placement.bounds import exact_optimum, flow_bound
from bench.placement.greedy import greedy
from bench.placement.layouts import EVENTS, SIZES, Size, settled
from bench.placement.moves import (
    Quality,
    Transfer,
    after,
    holders,
    makespan,
    makespan_bound,
    quality,
    total,
    transfers,
)
from bench.placement.schedule import run
from qdrant_operator.domain.placement.forecast import whole_plan
from qdrant_operator.domain.placement.model import Policy
from qdrant_operator.domain.placement.steps import MoveShard
from qdrant_operator.domain.qdrant.views import PeerId, ShardId

SMALL = SIZES[0]
NONE_MOVES = Quality(missing=0, imbalance=0, crowded=0)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.label)
def test_generated_clusters_are_settled(size: Size) -> None:
    """Before anything happens nothing is missing, uneven or crowded, and nothing need move."""
    layout = settled(size)
    assert (len(layout.peers), len(layout.shards)) == (size.peers, size.collections * size.shards)
    assert quality(layout, holders(layout)) == NONE_MOVES
    if size.peers <= 30:
        assert flow_bound(layout) == 0


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("seed", range(5))
def test_the_flow_finds_the_optimum(event: str, seed: int) -> None:
    """Where a zone takes one replica of a shard the flow costs what the best of all placements costs."""
    layout = EVENTS[event](SMALL, seed)
    assert flow_bound(layout) == exact_optimum(layout) > 0


def test_a_flow_that_cannot_be_balanced_is_an_error() -> None:
    """Three peers in two zones cannot be balanced and spread at once: there is no bound."""
    layout = EVENTS["scale out"](Size(2, 1, 6, 2, 1, 2), 1)
    with pytest.raises(ValueError, match="no settled state"):
        flow_bound(layout)


@pytest.mark.parametrize("event", EVENTS)
def test_greedy_repairs_and_drains(event: str) -> None:
    """Afterwards nothing is missing and no leaving peer holds anything; it may be uneven and crowded."""
    layout = EVENTS[event](SIZES[1], 1)
    moved, placed = greedy(layout)
    assert quality(layout, placed).missing == 0
    assert all(transfer.source != transfer.target for transfer in moved)


def test_a_schedule_keeps_its_budget() -> None:
    """Two transfers into one peer, or out of one, take turns; others go on as far as the cluster's budget goes."""
    first, second = (_transfer(number, number, 9, 10) for number in (1, 2))
    other = _transfer(3, 3, 8, 10)
    assert makespan([first, second, other], Policy(per_cluster=3)) == 20
    assert makespan([_transfer(1, 9, 1, 10), _transfer(2, 9, 2, 10), other], Policy(per_cluster=3)) == 20
    assert makespan([first, second, other], Policy(per_cluster=1)) == 30
    assert makespan([first, second, other], Policy(per_cluster=3, per_peer=2)) == 10
    assert makespan([], Policy()) == 0


def test_transfers_of_one_shard_take_turns() -> None:
    """Qdrant refuses a second transfer of a shard that touches the same peers."""
    assert makespan([_transfer(1, 1, 2, 10), _transfer(1, 3, 4, 10)], Policy(per_cluster=9)) == 20


@pytest.mark.parametrize("per_cluster", [1, 2, 7])
def test_no_schedule_beats_the_bound(per_cluster: int) -> None:
    """The bound is the fullest of budget, peers and single transfers, and a schedule needs at least that."""
    moved, _ = greedy(EVENTS["zone loss"](SIZES[1], 1))
    policy = Policy(per_cluster=per_cluster)
    assert total(moved) / per_cluster <= makespan_bound(moved, policy) <= makespan(moved, policy)
    assert max(transfer.bytes for transfer in moved) <= makespan_bound(moved, policy)


def test_a_step_that_cannot_be_done_is_found() -> None:
    """Moving a shard to a peer that holds it would make one replica of two (Qdrant does that)."""
    layout = settled(SMALL)
    shard = layout.shards[0]
    first, second = sorted(shard.holders)
    with pytest.raises(ValueError, match="cannot be done"):
        after(layout, [MoveShard(shard.ref, first, second, "snapshot", ("a", "b"), 1, "balance")])


def _transfer(shard: int, source: int, target: int, size: int) -> Transfer:
    return Transfer(("docs", ShardId(shard)), PeerId(source), PeerId(target), size)


@pytest.mark.parametrize("event", EVENTS)
def test_the_loop_runs_to_its_end(event: str) -> None:
    """Within its budget it leaves a settled placement, and no schedule of its transfers could beat the bound."""
    layout, policy = EVENTS[event](SMALL, 1), Policy(per_cluster=2)
    found = run(layout, policy)
    assert quality(layout, holders(found.end)) == NONE_MOVES
    assert found.makespan >= makespan_bound(found.moved, policy)
    assert total(found.moved) >= exact_optimum(layout)


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("event", EVENTS)
def test_the_loop_ends_soon(event: str, seed: int) -> None:
    """Its last transfer ends within a tenth of what its transfers need at least: no peer works alone at the end."""
    layout, policy = EVENTS[event](SMALL, seed), Policy(per_cluster=2)
    found = run(layout, policy)
    assert found.makespan <= 1.1 * makespan_bound(found.moved, policy)


@pytest.mark.parametrize("seed", [2, 3])
def test_zones_cost_no_detours_while_peers_leave(seed: int) -> None:
    """Beyond the exact method's size too: what has to move fills the gaps, and hardly anything else moves."""
    layout = EVENTS["scale in"](SIZES[1], seed)
    moved = total(transfers(whole_plan(layout, Policy()).steps))
    assert moved <= 1.001 * flow_bound(layout)
