"""Placement over zones: replicas of a shard are apart, and what pods without the label count as."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from qdrant_operator.domain.placement.forecast import apply_all, whole_plan
from qdrant_operator.domain.placement.model import Mode, Policy, Shard
from qdrant_operator.domain.placement.planner import imbalance, plan_placement
from qdrant_operator.domain.qdrant.views import ShardId
from tests.domain.layouts import holders, layout, peer, shard, steps


def test_factor_up_prefers_another_zone() -> None:
    """The new replica goes to the zone that has none, although a peer in the same zone is emptier."""
    before = layout(
        [peer(0, zone="a"), peer(1, zone="a"), peer(2, zone="b")],
        shard("docs/0", [0], factor=2),
        shard("docs/1", [2]),
        shard("docs/2", [2]),
    )
    drain_only = Policy(Mode.DRAIN_ONLY)
    assert steps(before, drain_only) == [
        "replicate docs/0 from vectors-0 to vectors-2 (1 of 2 replicas are sound)"
    ]


def test_the_replica_whose_zone_has_another_goes_first() -> None:
    """The only replica of its zone stays until its zone's loss is made good, even on a leaving peer."""
    peers = [peer(0, zone="a"), peer(1, zone="a"), peer(2, zone="b", leaving=True), peer(3, zone="c")]
    before = layout(peers, shard("docs/0", [0, 1, 2], factor=2))
    assert [str(step).split(" (")[0] for step in whole_plan(before, Policy()).steps] == [
        "drop docs/0 on vectors-1",
        "move docs/0 from vectors-2 to vectors-3",
    ]


def test_a_replica_moves_within_its_zone_first() -> None:
    """Two replicas leave two zones; neither move puts both into one."""
    peers = [
        peer(0, zone="a", leaving=True),
        peer(1, zone="b", leaving=True),
        peer(2, zone="b"),
        peer(3, zone="a"),
    ]
    before = layout(peers, shard("docs/0", [0, 1]))
    assert steps(before) == ["move docs/0 from vectors-0 to vectors-3 (vectors-0 is leaving)"]


def test_a_large_cluster_keeps_zones_while_it_balances() -> None:
    """Above the size of the exact method too: spread over zones as before or better, and nearly even."""
    random = Random(7)
    peers = [peer(number, zone=f"zone-{number % 3}") for number in range(30)]
    shards = [shard(f"docs/{n}", random.sample(range(24), 2)) for n in range(150)]
    end = apply_all(layout(peers, *shards), whole_plan(layout(peers, *shards), Policy()).steps)
    assert all(len({held % 3 for held in holding}) == 2 for holding in holders(end).values())
    assert imbalance(end) <= 2


@pytest.mark.parametrize("zone", ["", "a"])
def test_where_all_pods_are_alike_nothing_is_spread(zone: str) -> None:
    """No pod has the label, or all have the same: zones say nothing, and nothing moves for them."""
    before = layout([peer(n, zone=zone) for n in range(4)], shard("docs/0", [0, 1]), shard("docs/1", [2, 3]))
    plan = plan_placement(before, Policy())
    assert (plan.steps, plan.blocked) == ((), ())


def test_pods_without_the_label_are_one_zone_of_their_own() -> None:
    """Beside labelled ones they count as one zone: a shard of zone a is spread to them, one that is both rests."""
    peers = [peer(0, zone="a"), peer(1, zone="a"), peer(2), peer(3)]
    before = layout(peers, shard("docs/0", [0, 1]), shard("docs/1", [0, 2]), shard("docs/2", [2, 3]))
    end = holders(apply_all(before, whole_plan(before, Policy()).steps))
    assert end["docs", ShardId(1)] == {0, 2}
    assert all(len(held & {0, 1}) == len(held & {2, 3}) == 1 for held in end.values())


def test_a_peer_whose_pod_is_gone_moves_nothing() -> None:
    """With its pod its label is gone for a while: that alone is no reason to move what is spread."""
    gone = [peer(2, answers=False), peer(3, answers=False)]
    shards = [shard("docs/0", [0, 2]), shard("docs/1", [1, 3]), shard("docs/2", [2, 3])]
    before = layout(
        [peer(0, zone="a"), peer(1, zone="b"), *gone], *(without_answers(shard, {2, 3}) for shard in shards)
    )
    assert steps(before) == []


def without_answers(shard: Shard, silent: set[int]) -> Shard:
    """The shard while these peers do not answer."""
    return replace(shard, replicas=tuple(replace(r, sound=r.peer not in silent) for r in shard.replicas))
