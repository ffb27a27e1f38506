"""Changing the replication factor and the write factor of a collection that exists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.domain.collection.observed import Live
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.steps import CollectionGuard, CollectionPlan, UpdateCollection
from qdrant_operator.domain.common.guards import Guard
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, ShardId
from tests.domain.collection_model import after, desired, live, observed


def factors(factor: int | None = None, writes: int | None = None) -> dict[str, Any]:
    """These factors as a spec has them."""
    both = {"replicationFactor": factor, "writeConsistencyFactor": writes}
    return {key: value for key, value in both.items() if value is not None}


def there(factor: int, writes: int) -> Any:
    """A collection with these factors."""
    return live({"replication_factor": factor, "write_consistency_factor": writes})


def shard(number: int, sound: int, wanted: int) -> ShardHealth:
    """A shard with so many sound replicas."""
    holders = frozenset(PeerId(peer + 1) for peer in range(sound))
    return ShardHealth("docs", ShardId(number), wanted, holders, holders, frozenset())


def patches(planned: CollectionPlan) -> list[dict[str, int]]:
    """Parameters that each PATCH of a plan sends."""
    return [step.body["params"] for step in planned.steps if isinstance(step, UpdateCollection)]


def guards(planned: CollectionPlan) -> list[Guard]:
    """What holds something back."""
    return [one.guard for one in planned.blocked]


def test_a_higher_factor_is_patched_at_once() -> None:
    """Qdrant notes it; the replicas are the cluster's business."""
    planned = plan(desired(factors(3)), observed(there(1, 1), shards=(shard(0, 1, 1),)))
    assert patches(planned) == [{"replication_factor": 3}]
    assert planned.blocked == ()


def test_a_factor_above_the_peers_is_refused_before_the_patch() -> None:
    """The sentence has both numbers and both remedies; a raised write factor waits with it."""
    planned = plan(desired(factors(4, 3)), observed(there(2, 2), shards=(shard(0, 2, 2),)))
    assert patches(planned) == []
    assert guards(planned) == [CollectionGuard.TOO_FEW_PEERS, CollectionGuard.REPLICAS_MISSING]
    assert "replicationFactor is 4, the cluster has 3 peers" in planned.blocked[0].message
    assert "raise spec.replicas of the QdrantCluster" in planned.blocked[0].message


def test_peers_that_shall_leave_do_not_count() -> None:
    """While five peers become three a factor of four is refused: it would hold the removal up for ever."""
    planned = plan(desired(factors(4)), observed(there(2, 1), members=5, answering=5))
    assert patches(planned) == []
    assert guards(planned) == [CollectionGuard.TOO_FEW_PEERS]


def test_a_factor_that_comes_down_may_still_be_above_the_peers() -> None:
    """From five to four with three peers wanted: nearer to what the cluster can carry."""
    assert patches(plan(desired(factors(4)), observed(there(5, 1)))) == [{"replication_factor": 4}]


def test_the_write_factor_goes_down_with_the_factor_in_one_request() -> None:
    """Declared or not, it is never above the replication factor."""
    both = [{"replication_factor": 1, "write_consistency_factor": 1}]
    assert patches(plan(desired(factors(1)), observed(there(3, 2)))) == both
    assert patches(plan(desired(factors(1, 1)), observed(there(3, 3)))) == both


def test_a_write_factor_that_nobody_declared_is_left_alone() -> None:
    """Lowering three to two leaves room for two."""
    assert patches(plan(desired(factors(2)), observed(there(3, 2)))) == [{"replication_factor": 2}]


@pytest.mark.parametrize(("sound", "patched"), [(1, []), (2, [{"write_consistency_factor": 2}])])
def test_the_write_factor_is_raised_when_the_replicas_are_there(sound: int, patched: list[Any]) -> None:
    """One poor shard is enough to wait for; the sentence says how poor."""
    seen = observed(there(2, 1), shards=(shard(0, 2, 2), shard(1, sound, 2)))
    planned = plan(desired(factors(2, 2)), seen)
    assert patches(planned) == patched
    if not patched:
        assert guards(planned) == [CollectionGuard.REPLICAS_MISSING]
        assert "one shard has 1" in planned.blocked[0].message


def test_a_key_with_fewer_replicas_does_not_hold_the_write_factor_up() -> None:
    """Qdrant asks a shard for no more acknowledgements than it has replicas."""
    seen = observed(there(3, 1), shards=(shard(0, 3, 3), shard(1, 1, 1)))
    assert patches(plan(desired(factors(3, 2)), seen)) == [{"write_consistency_factor": 2}]


PAIR = st.integers(1, 3).flatmap(lambda factor: st.tuples(st.just(factor), st.integers(1, factor)))


@given(had=PAIR, asked=PAIR, sound=st.integers(1, 3))
def test_the_write_factor_is_legal_at_every_step(
    had: tuple[int, int], asked: tuple[int, int], sound: int
) -> None:
    """From any legal pair to any other: legal after every PATCH, and reached once the replicas are there."""
    world = (desired(factors(*asked)), observed(there(*had), shards=(shard(0, sound, had[0]),)))
    for replicas in (sound, 3):
        wanted, seen = world
        seen = observed(seen.collection, shards=(shard(0, replicas, asked[0]),))
        while patches(plan(wanted, seen)):
            wanted, seen = after((wanted, seen), plan(wanted, seen).steps[0])
            assert isinstance(seen.collection, Live)
            params = seen.collection.config["params"]
            assert params["write_consistency_factor"] <= params["replication_factor"]
            assert params["write_consistency_factor"] <= max(replicas, had[1])
        world = (wanted, seen)
    collection = world[1].collection
    assert isinstance(collection, Live)
    params = collection.config["params"]
    assert (params["replication_factor"], params["write_consistency_factor"]) == asked
