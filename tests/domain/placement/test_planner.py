"""Placement by example: each rule once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.placement.forecast import apply_all, moved_bytes, whole_plan
from qdrant_operator.domain.placement.model import Mode, Policy
from qdrant_operator.domain.placement.planner import imbalance, plan_placement
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId
from tests.domain.layouts import begun, holders, layout, only_block, peer, shard, silent, steps

ACTIVE, DEAD = ReplicaState.ACTIVE, ReplicaState.DEAD


def test_nothing_moves_when_settled() -> None:
    """Three shards of two replicas on three peers, two on each: nothing to do, nothing to say."""
    plan = plan_placement(
        layout(3, shard("docs/0", [0, 1]), shard("docs/1", [1, 2]), shard("docs/2", [0, 2])), Policy()
    )
    assert (plan.steps, plan.blocked) == ((), ())


def test_repairs_before_it_drains_and_balances() -> None:
    """A shard with one of two replicas comes before the drain, and balancing does not start."""
    before = layout(
        [peer(0), peer(1), peer(2, leaving=True), peer(3)],
        shard("docs/0", [0], factor=2),
        shard("docs/1", [1, 2]),
        shard("docs/2", [0, 1]),
    )
    assert steps(before, Policy(per_peer=2)) == [
        "replicate docs/0 from vectors-0 to vectors-3 (1 of 2 replicas are sound)",
        "move docs/1 from vectors-2 to vectors-3 (vectors-2 is leaving)",
    ]


def test_a_leaving_peer_gives_up_what_others_hold_enough_of() -> None:
    """With two sound replicas elsewhere the third, on a leaving peer, is dropped and nothing is copied."""
    before = layout([peer(0), peer(1), peer(2, leaving=True)], shard("docs/0", [0, 1, 2], factor=2))
    assert steps(before) == ["drop docs/0 on vectors-2 (vectors-2 is leaving)"]


def test_a_leaving_peer_whose_replica_is_unsound_is_no_source() -> None:
    """The sound replica elsewhere is the source; only then the unsound one is dropped."""
    before = layout([peer(0), peer(1, leaving=True), peer(2)], shard("docs/0", {0: ACTIVE, 1: DEAD}))
    assert steps(before) == ["replicate docs/0 from vectors-0 to vectors-2 (1 of 2 replicas are sound)"]
    whole = whole_plan(before, Policy())
    assert holders(apply_all(before, whole.steps)) == {("docs", 0): {0, 2}}


def test_a_lost_peers_replicas_do_not_count() -> None:
    """Its replica is recreated elsewhere, at once."""
    before = silent(1)
    lost = replace(before, peers=(peer(0), peer(1, answers=False, lost=True), peer(2)))
    assert steps(lost) == ["replicate docs/0 from vectors-0 to vectors-2 (1 of 2 replicas are sound)"]


def test_a_stale_replica_is_dropped_and_recreated() -> None:
    """Dead for long and not healed by Qdrant: dropped while a sound one is elsewhere, then replicated."""
    docs = shard("docs/0", {0: ACTIVE, 1: DEAD})
    stale = replace(docs, replicas=(docs.replicas[0], replace(docs.replicas[1], stale=True)))
    assert [str(step) for step in whole_plan(layout(2, stale), Policy()).steps] == [
        "drop docs/0 on vectors-1 (it is Dead and 1 of 2 replicas are sound)",
        "replicate docs/0 from vectors-0 to vectors-1 (1 of 2 replicas are sound)",
    ]


def test_a_surplus_dead_replica_goes_before_a_sound_one() -> None:
    """Two sound and one Dead replica of a shard that wants two: the Dead one goes, wherever the load is."""
    before = layout(3, shard("docs/0", {0: ACTIVE, 1: DEAD, 2: ACTIVE}, factor=2))
    assert steps(before) == ["drop docs/0 on vectors-1 (it is Dead and 2 of 2 replicas are sound)"]


def test_factor_down_relieves_the_fullest_peer() -> None:
    """Of three sound replicas the one on the peer with most replicas goes."""
    before = layout(3, shard("docs/0", [0, 1, 2], factor=2), shard("docs/1", [1]), shard("docs/2", [1]))
    assert steps(before, Policy(Mode.DRAIN_ONLY)) == ["drop docs/0 on vectors-1 (3 sound replicas, 2 wanted)"]


def test_a_shard_key_moves_to_its_peers() -> None:
    """A replica on a peer that its shard key's placement does not name moves to one that it names."""
    before = layout(3, shard("docs/0", [0], key="eu", allowed=frozenset({PeerId(2)})))
    assert steps(before) == [
        "move docs/0 from vectors-0 to vectors-2 (shard key eu is not placed on vectors-0)"
    ]


def test_small_collections_do_not_pile_up() -> None:
    """Four collections of one shard on one of two peers: each is even by itself, yet two of them move."""
    before = layout(2, *(shard(f"{name}/0", [0]) for name in "abcd"))
    end = apply_all(before, whole_plan(before, Policy()).steps)
    assert sorted(next(iter(held)) for held in holders(end).values()) in ([0, 0, 1, 1], [0, 0, 0, 1])


def test_balances_with_the_smallest_replicas() -> None:
    """A new peer gets its share, and the smallest replicas that make it."""
    sizes = (50, 10, 90, 20)
    before = layout(2, *(shard(f"docs/{n}", [0], bytes=size) for n, size in enumerate(sizes)))
    whole = whole_plan(before, Policy())
    assert moved_bytes(whole.steps) == 30
    assert imbalance(before) == 4
    assert imbalance(apply_all(before, whole.steps)) == 0


@pytest.mark.parametrize("leaving", [True, False])
def test_a_transfer_to_where_nothing_may_stay_is_aborted(leaving: bool) -> None:
    """The target began to leave, or was lost, while the transfer ran."""
    before = begun(
        layout(3, shard("docs/0", [0])), ("docs", ShardId(0)), PeerId(0), PeerId(1), keeps_source=False
    )
    gone = peer(1, leaving=leaving, lost=not leaving, answers=leaving)
    why = "vectors-1 is leaving" if leaving else "vectors-1 is lost"
    expected = [f"abort the transfer of docs/0 from vectors-0 to vectors-1 ({why})"]
    assert steps(replace(before, peers=(peer(0), gone, peer(2)))) == expected


def test_what_an_aborted_replication_leaves_is_removed() -> None:
    """Abort, drop the Dead replica that it leaves, replicate to a peer that stays."""
    before = layout(3, shard("docs/0", [0], factor=2))
    running = begun(before, ("docs", ShardId(0)), PeerId(0), PeerId(1), keeps_source=True)
    changed = replace(running, peers=(peer(0), peer(1, leaving=True), peer(2)))
    assert [str(step).split(" (")[0] for step in whole_plan(changed, Policy()).steps] == [
        "abort the transfer of docs/0 from vectors-0 to vectors-1",
        "replicate docs/0 from vectors-0 to vectors-2",
        "drop docs/0 on vectors-1",
    ]


def test_an_aborted_target_is_given_another() -> None:
    """Backing off from one target does not hold the shard up where another peer can take it."""
    before = layout(3, shard("docs/0", [0], factor=2), waits=frozenset({(("docs", ShardId(0)), PeerId(1))}))
    assert steps(before) == ["replicate docs/0 from vectors-0 to vectors-2 (1 of 2 replicas are sound)"]


def test_the_window_is_for_balancing_only() -> None:
    """Repair, drain and factor do not wait for it."""
    before = layout([peer(0), peer(1, leaving=True), peer(2)], shard("docs/0", [1]))
    assert steps(before, Policy(may_balance=False)) == [
        "move docs/0 from vectors-1 to vectors-0 (vectors-1 is leaving)"
    ]


def test_drain_only_never_balances() -> None:
    """DrainOnly leaves an uneven cluster as it is, and nothing is blocked."""
    before = layout(2, shard("docs/0", [0]), shard("docs/1", [0]))
    plan = plan_placement(before, Policy(Mode.DRAIN_ONLY))
    assert (plan.steps, plan.blocked) == ((), ())


def test_imbalance_counts_shard_keys_apart() -> None:
    """Two keys of one collection, each on its own peer, are uneven; counted together they would not be."""
    shards = [shard(f"docs/{n}", [n // 2], key=n // 2) for n in range(4)]
    assert imbalance(layout(2, *shards)) == 2


def test_a_disputed_shard_keeps_its_transfer() -> None:
    """Where views contradict each other not even a transfer to a leaving peer is aborted."""
    before = layout(3, shard("docs/0", [0], disputed="vectors-2 lists no transfer"))
    running = begun(before, ("docs", ShardId(0)), PeerId(0), PeerId(1), keeps_source=False)
    changed = replace(running, peers=(peer(0), peer(1, leaving=True), peer(2)))
    assert only_block(changed).guard is ClusterGuard.VIEWS_DISAGREE


def test_a_surplus_replica_on_a_silent_peer_is_not_dropped() -> None:
    """The state of its replica is unknown until the peer answers."""
    docs = shard("docs/0", [0, 1, 2], factor=2)
    unsound = replace(docs, replicas=tuple(replace(r, sound=r.peer != 1) for r in docs.replicas))
    before = layout([peer(0), peer(1, answers=False), peer(2)], unsound)
    assert only_block(before).guard is ClusterGuard.PEERS_UNREACHABLE


def test_a_stale_mark_on_a_sound_replica_means_nothing() -> None:
    """A replica that healed late is sound like any other and is not dropped."""
    docs = shard("docs/0", [0, 1])
    marked = replace(docs, replicas=tuple(replace(r, stale=True) for r in docs.replicas))
    assert plan_placement(layout(3, marked), Policy()).steps == ()


def test_balancing_waits_for_repair() -> None:
    """While one shard lacks a replica another collection's balancing does not start, whatever the budget."""
    uneven = [shard(f"logs/{n}", [0]) for n in range(3)]
    before = layout(2, shard("docs/0", [0], factor=2), *uneven)
    lavish = Policy(per_cluster=9, per_peer=9)
    assert steps(before, lavish) == [
        "replicate docs/0 from vectors-0 to vectors-1 (1 of 2 replicas are sound)"
    ]


def test_a_drain_does_not_wait_with_a_third_holder() -> None:
    """With one replica healing and one on a leaving peer the latter moves: no shard has more holders than wanted."""
    before = layout([peer(0), peer(1, leaving=True), peer(2)], shard("docs/0", {0: DEAD, 1: ACTIVE}))
    assert steps(before) == ["move docs/0 from vectors-1 to vectors-2 (vectors-1 is leaving)"]


def test_space_that_a_running_transfer_will_use_is_not_free() -> None:
    """A transfer into the peer runs; a second one of its size would not fit beside it."""
    shards = [shard(f"docs/{n}", [0], factor=2, bytes=100) for n in range(2)]
    before = layout([peer(0), peer(1, free_bytes=250)], *shards)
    running = begun(before, ("docs", ShardId(1)), PeerId(0), PeerId(1), keeps_source=True)
    plan = plan_placement(running, Policy(per_peer=2))
    assert plan.steps == ()
    assert ClusterGuard.NOT_ENOUGH_DISK in {blocked.guard for blocked in plan.blocked}


def test_many_small_collections_spread_in_a_large_cluster() -> None:
    """Eighty collections of one shard on one of twenty peers: beyond the exact method's size they spread as well."""
    before = layout(20, *(shard(f"small-{n:02}/0", [0]) for n in range(80)))
    end = apply_all(before, whole_plan(before, Policy()).steps)
    totals = Counter(held for holding in holders(end).values() for held in holding)
    assert max(totals.values()) <= 6
    assert min(totals[PeerId(number)] for number in range(20)) >= 2
