"""Shard keys: what is made, what is removed, and what is refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from qdrant_operator.domain.collection.observed import KeySeen, Observed
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.shards.health import health_of, keys_seen, targets_of
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateCollection,
    CreateShardKey,
    RemoveShardKey,
)
from qdrant_operator.domain.common.guards import Guard
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    LocalReplica,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardKey,
    ShardView,
    Transfer,
)
from tests.domain.collection_model import World, desired, live, observed, worlds

ONE, TWO, THREE = PeerId(1), PeerId(2), PeerId(3)
EMPTY, FULL, UNKNOWN = KeySeen(1, 0), KeySeen(1, 5), KeySeen(1, None)


def keyed(*keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A spec with these shard keys."""
    return {"sharding": {"method": "Custom", "keys": list(keys), **more}}


def there(keys: dict[ShardKey, KeySeen] | None = None, **changes: Any) -> Observed:
    """A custom-sharded collection with these keys, behind three pods: zones a, b, a."""
    return observed(live({"sharding_method": "custom"}), keys=keys or {}, **changes)


def bodies(planned: CollectionPlan) -> list[Any]:
    """What is sent for each key that is made."""
    return [step.body for step in planned.steps if isinstance(step, CreateShardKey)]


def messages(planned: CollectionPlan) -> dict[Guard, str]:
    """What waits, by its guard."""
    return {one.guard: one.message for one in planned.blocked}


def test_keys_are_made_where_they_may_be() -> None:
    """Without peers nothing is said of placement; pods and zones become peer ids."""
    keys = (
        {"key": 7},
        {"key": "eu", "shards": 2, "peers": {"zone": "a"}},
        {"key": "us", "replicationFactor": 1, "peers": {"pods": ["vectors-1"]}},
    )
    planned = plan(desired({**keyed(*keys), "replicationFactor": 1}), there())
    assert bodies(planned) == [
        {"shard_key": 7, "shards_number": 1, "replication_factor": 1},
        {"shard_key": "eu", "shards_number": 2, "replication_factor": 1, "placement": [1, 3]},
        {"shard_key": "us", "shards_number": 1, "replication_factor": 1, "placement": [2]},
    ]
    assert "create shard key eu of docs: shards 2, replicas 1 on vectors-0, vectors-2" in map(
        str, planned.steps
    )


def test_a_key_takes_the_collections_factor_unless_it_has_its_own() -> None:
    """An absent factor is the collection's, declared or as Qdrant has it."""
    seen = observed(live({"sharding_method": "custom", "replication_factor": 3}))
    factors = [body["replication_factor"] for body in bodies(plan(desired(keyed({"key": 1})), seen))]
    assert factors == [3]


def test_the_method_goes_into_the_creation_and_is_compared_afterwards() -> None:
    """Custom is sent; a collection that is divided otherwise is refused in words and gets no key."""
    created = plan(desired(keyed({"key": "eu"})), observed())
    assert isinstance(created.steps[0], CreateCollection)
    assert created.steps[0].body["sharding_method"] == "custom"
    assert isinstance(created.steps[1], CreateShardKey)
    planned = plan(desired(keyed({"key": "eu"})), observed(live()))
    assert planned.steps == ()
    assert (
        "sharding.method is not set, wanted custom"
        in messages(planned)[CollectionGuard.IMMUTABLE_FIELD_CHANGED]
    )


def test_no_key_is_made_while_a_peer_does_not_answer_or_for_a_pod_that_leaves() -> None:
    """Qdrant would put shards there; a fourth peer that is drained gets none."""
    waits = plan(desired(keyed({"key": 1})), there(answering=2))
    assert bodies(waits) == []
    assert "2 of 3 peers answer" in messages(waits)[CollectionGuard.PEERS_UNREACHABLE]
    smaller = desired(keyed({"key": 1}), wanted_peers=2)
    assert [body["placement"] for body in bodies(plan(smaller, there()))] == [[1, 2]]


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            {"key": 1, "replicationFactor": 4},
            "needs 4 peers, one for each replica of a shard, and the cluster has 3",
        ),
        ({"key": 1, "replicationFactor": 3, "peers": {"zone": "a"}}, "and zone a has 2 ("),
        ({"key": 1, "peers": {"zone": "c"}}, "known zones: a, b"),
        ({"key": 1, "peers": {"pods": ["vectors-7"]}}, "the cluster has 0 of its peers.pods (none)"),
    ],
)
@pytest.mark.parametrize("seen", [{}, {1: FULL}], ids=["missing", "there"])
def test_a_placement_that_no_peers_can_carry_is_refused(
    key: dict[str, Any], sentence: str, seen: dict[ShardKey, KeySeen]
) -> None:
    """Before the key is made, and when the spec of one that is there is changed."""
    planned = plan(desired(keyed(key)), there(seen))
    assert planned.steps == ()
    assert sentence in messages(planned)[CollectionGuard.TOO_FEW_PEERS]


def test_another_number_of_shards_is_refused_by_name() -> None:
    """Field, both numbers and a way out."""
    planned = plan(desired(keyed({"key": "7", "shards": 2})), there({"7": FULL}))
    assert planned.steps == ()
    message = messages(planned)[CollectionGuard.IMMUTABLE_FIELD_CHANGED]
    assert 'sharding.keys["7"].shards is 1, wanted 2; Qdrant cannot change it' in message


def test_a_key_with_points_stays_until_the_spec_says_delete() -> None:
    """The sentence names key and points; an empty one goes; silence is not emptiness; others' keys are left."""
    ours: frozenset[ShardKey] = frozenset({"full", "empty", "silent"})
    seen = there({"full": FULL, "empty": EMPTY, "silent": UNKNOWN, "theirs": EMPTY})
    planned = plan(desired(keyed(), granted_keys=ours), seen)
    assert planned.steps == (RemoveShardKey("docs", "empty", "empty", 0, consented=False),)
    said = messages(planned)
    assert (
        "shard key full is no longer declared and holds 5 points"
        in said[CollectionGuard.SHARD_KEY_HOLDS_POINTS]
    )
    assert "the number of points in shard key silent is not known" in said[CollectionGuard.PEERS_UNREACHABLE]
    consented = plan(desired(keyed(onKeyRemoval="Delete"), granted_keys=ours), seen)
    assert [step.key for step in consented.steps if isinstance(step, RemoveShardKey)] == [
        "empty",
        "full",
        "silent",
    ]
    assert all(step.consented for step in consented.steps if isinstance(step, RemoveShardKey))


@pytest.mark.parametrize("removal", ["Refuse", "Delete"])
def test_a_key_is_not_removed_while_a_shard_of_it_moves(removal: str) -> None:
    """Qdrant 1.19.0 hangs for good when that is done: it waits, consent or not."""
    moving = KeySeen(1, 0, unsettled="a shard of it is being transferred")
    planned = plan(
        desired(keyed(onKeyRemoval=removal), granted_keys=frozenset({"eu"})), there({"eu": moving})
    )
    assert planned.steps == ()
    assert "a shard of it is being transferred" in messages(planned)[CollectionGuard.TRANSFER_RUNNING]


def test_a_running_transfer_or_a_dead_replica_unsettles_its_key_alone() -> None:
    """The transfer's shard is of key eu; a Dead replica will be healed by a transfer of Qdrant's own."""
    shards = (shard(0, ONE), shard(0, ONE, key="us", number=1))
    moving = keys_seen("docs", (view(ONE, *shards, transfers=(Transfer(ShardId(0), ONE, TWO, None),)),))
    assert moving["eu"].unsettled == "a shard of it is being transferred"
    assert moving["us"].unsettled == ""
    dead = ShardView(ShardId(0), "eu", {ONE: ReplicaState.ACTIVE, TWO: ReplicaState.DEAD}, LocalReplica(0, 0))
    assert keys_seen("docs", (view(ONE, dead),))["eu"].unsettled


def test_a_spec_without_sharding_has_no_opinion() -> None:
    """Taking the section away removes no key."""
    seen = there({"eu": EMPTY})
    assert plan(desired(granted_keys=frozenset({"eu"})), seen) == Plan()


@given(worlds())
def test_no_point_is_lost_without_consent(world: World) -> None:
    """Whatever was and is wanted: a key is removed when it is known to be empty, or the spec says Delete."""
    wanted, seen = world
    for step in plan(wanted, seen).steps:
        if isinstance(step, RemoveShardKey):
            assert step.key in wanted.granted_keys
            sharding = wanted.spec.sharding
            assert sharding is not None
            assert step.key not in {one.key for one in sharding.keys}
            assert seen.keys[step.key].points == 0 or sharding.on_key_removal == "Delete"


def view(peer: PeerId, *shards: ShardView, transfers: tuple[Transfer, ...] = ()) -> PeerView:
    """What a peer says of docs."""
    told = CollectionView("docs", 1, 2, 1, sharding_custom=True, shards=shards, transfers=transfers)
    return PeerView(
        peer=peer,
        peers={},
        leader=ONE,
        term=1,
        commit=1,
        pending=0,
        voter=True,
        consensus_working=True,
        version="1.19.0",
        collections=(told,),
    )


def shard(points: int | None, *holders: PeerId, key: ShardKey = "eu", number: int = 0) -> ShardView:
    """A shard as a peer tells it; `points` are its own, None where it holds none."""
    local = None if points is None else LocalReplica(points, 0)
    return ShardView(ShardId(number), key, dict.fromkeys(holders, ReplicaState.ACTIVE), local)


def test_the_fullest_replica_of_each_shard_counts() -> None:
    """Two shards on two peers: 4 and 3 points, held by both."""
    views = (
        view(ONE, shard(4, ONE, TWO), shard(1, ONE, TWO, number=1)),
        view(TWO, shard(2, ONE, TWO), shard(3, ONE, TWO, number=1)),
    )
    assert keys_seen("docs", views) == {"eu": KeySeen(2, 7, frozenset({ONE, TWO}))}


@pytest.mark.parametrize(
    "views",
    [
        (view(ONE, shard(0, ONE, TWO)),),
        (view(ONE, shard(None)),),
        (view(ONE, shard(0, ONE, TWO)), view(TWO, shard(None, ONE, TWO))),
    ],
    ids=["a holder is silent", "nobody holds it", "a holder has no local copy"],
)
def test_what_was_not_counted_is_not_empty(views: tuple[PeerView, ...]) -> None:
    """Points are unknown as long as one replica could not be counted."""
    assert keys_seen("docs", views)["eu"].points is None


def test_each_shard_has_the_factor_of_its_key() -> None:
    """The key's own; else the greater of what the peers and the config say."""
    spec = desired(keyed({"key": "eu", "replicationFactor": 1}, {"key": "us"})).spec
    views = (view(ONE, shard(0, ONE), shard(0, ONE, key="us", number=1)),)
    assert [one.wanted for one in health_of("docs", views, spec, 3)] == [1, 3]


def test_targets_of_running_transfers_are_known() -> None:
    """Of this collection only."""
    moving = Transfer(ShardId(0), ONE, THREE, None)
    assert targets_of("docs", (view(ONE, transfers=(moving,)),)) == {(ShardId(0), THREE)}
    assert targets_of("other", (view(ONE, transfers=(moving,)),)) == frozenset()
