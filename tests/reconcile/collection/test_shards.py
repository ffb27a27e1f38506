"""Replication factor and shard keys in the collection loop, on simulated peers; a test plays the cluster's loop."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from qdrant_operator.domain.collection.steps import RemoveShardKey
from qdrant_operator.domain.common.errors import Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.qdrant.views import PeerId, ShardKey
from qdrant_operator.reconcile.collection.act import act, ask
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, PASSES, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")
ZONE = "topology.kubernetes.io/zone"


def keyed(*keys: ShardKey | dict[str, Any], removal: str = "Refuse") -> dict[str, Any]:
    """spec.sharding with these keys."""
    listed = [key if isinstance(key, dict) else {"key": key} for key in keys]
    return {"method": "Custom", "keys": listed, "onKeyRemoval": removal}


async def keys(place: Town) -> dict[ShardKey, set[PeerId]]:
    """Shard keys and their holders, as the first peer knows them."""
    found: dict[ShardKey, set[PeerId]] = {}
    for collection in (await place.views())[0].collections:
        for shard in collection.shards:
            assert shard.key is not None
            found.setdefault(shard.key, set()).update(shard.states)
    return found


async def until(place: Town, reason: str) -> None:
    """Pass after pass until Ready has this reason."""
    for _ in range(PASSES):
        await place.once()
        if place.condition("Ready")[1] == reason:
            return
    raise AssertionError(f"never {reason}: {place.status()}")


async def patiently(place: Town) -> None:
    """Settle; a pass that says "look again" is followed by another."""
    for _ in range(PASSES):
        try:
            return await place.settle()
        except Retryable:
            continue
    raise AssertionError("never settled")


async def write(place: Town, key: ShardKey, point: int = 1) -> None:
    """An application writes a point into a shard key."""
    body = {"points": [{"id": point, "vector": [1.0, 0.0, 0.0, 0.0]}], "shard_key": key}
    url = f"{place.endpoint().url}/collections/docs/points?wait=true"
    async with aiohttp.ClientSession() as http, http.put(url, json=body) as answer:
        assert answer.status == 200


async def replicate(place: Town) -> None:
    """One more replica of every shard of docs."""
    views = await place.views()
    ids = [view.peer for view in views]
    for shard in views[0].collections[0].shards:
        source = next(iter(shard.states))
        target = next(peer for peer in ids if peer not in shard.states)
        body = {"shard_id": shard.shard, "from_peer_id": source, "to_peer_id": target}
        await place.qdrant.update_shards(place.endpoint(), "docs", {"replicate_shard": body})


async def test_a_raised_factor_is_ready_when_its_replicas_are_sound(place: Town) -> None:
    """Factor first, Ready False while replicas are made, the write factor last, then Ready True."""
    place.declare(shardNumber=2, replicationFactor=1)
    await place.settle()
    assert place.condition("Replicated")[:2] == ("True", "Replicated")
    place.edit(replicationFactor=2, writeConsistencyFactor=2)
    await until(place, "ReplicasMissing")
    assert place.condition("Replicated")[:2] == ("False", "ReplicasMissing")
    assert "2/4 replicas are sound" in place.condition("Replicated")[2]
    assert "docs/0, docs/1" in place.condition("Replicated")[2]
    told = await place.told_by(0, lambda told: told["config"]["params"]["replication_factor"] == 2)
    assert told["config"]["params"]["write_consistency_factor"] == 1
    await replicate(place)
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert place.status()["shardsSound"] == "4/4"
    await place.told_by(0, lambda told: told["config"]["params"]["write_consistency_factor"] == 2)
    assert [reason for kind, reason, _ in place.told.events if kind == "Warning"] == []


async def test_a_lowered_factor_takes_the_write_factor_along(place: Town) -> None:
    """One PATCH; surplus replicas are no reason to be not Ready."""
    place.declare(shardNumber=1, replicationFactor=3, writeConsistencyFactor=2)
    await place.settle()
    patches = place.qdrant.changes.count("update_collection")
    place.edit(replicationFactor=1, writeConsistencyFactor=None)
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    for number in range(3):
        told = await place.told_by(number, lambda told: told["config"]["params"]["replication_factor"] == 1)
        assert told["config"]["params"]["write_consistency_factor"] == 1
    assert place.qdrant.changes.count("update_collection") > patches


async def test_a_factor_above_the_peers_is_refused_before_anything_is_sent(place: Town) -> None:
    """Qdrant would take it; the collection keeps its factor and says why."""
    place.declare(shardNumber=1, replicationFactor=2)
    await place.settle()
    changes = len(place.qdrant.changes)
    place.edit(replicationFactor=4)
    await place.settle()
    assert place.condition("Ready")[:2] == ("False", "TooFewPeers")
    assert "replicationFactor is 4, the cluster has 3 peers" in place.condition("Ready")[2]
    assert place.status()["drift"][0]["field"] == "replicationFactor"
    assert len(place.qdrant.changes) == changes


async def test_keys_follow_the_spec(place: Town) -> None:
    """Made one a pass, placed on their pods and zones, told in status and Events; an undeclared empty one goes."""
    place.kubernetes.server.patch(
        Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": {"shards": {"zoneKey": ZONE}}}, "kubectl"
    )
    labels = {"metadata": {"labels": {ZONE: "a"}}}
    place.kubernetes.server.patch(Kind.POD, NAMESPACE, "vectors-1", labels, "kubelet")
    ids = [view.peer for view in await place.views()]
    eu = {"key": "eu", "replicationFactor": 2, "peers": {"pods": ["vectors-0", "vectors-2"]}}
    place.declare(sharding=keyed(eu, {"key": 7, "shards": 2, "peers": {"zone": "a"}}, "spare"))
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert place.status()["shardKeys"] == [7, "eu", "spare"]
    assert place.qdrant.changes.count("create_shard_key") == 3
    there = await keys(place)
    assert (there["eu"], there[7]) == ({ids[0], ids[2]}, {ids[1]})
    place.edit(sharding=keyed(eu, {"key": 7, "shards": 2, "peers": {"zone": "a"}}))
    await place.settle()
    assert set(await keys(place)) == {"eu", 7}
    assert place.status()["shardKeys"] == [7, "eu"]
    reasons = [reason for _, reason, _ in place.told.events]
    assert (reasons.count("ShardKeyCreated"), reasons.count("ShardKeyRemoved")) == (3, 1)
    writes = len(place.kubernetes.writes), len(place.qdrant.changes)
    place.clock.pass_by(60)
    await place.once()
    assert (len(place.kubernetes.writes), len(place.qdrant.changes)) == writes


async def test_a_key_with_points_needs_consent(place: Town) -> None:
    """Refused with key and points; with onKeyRemoval Delete it goes, points and all."""
    place.declare(sharding=keyed("eu", "us"))
    await place.settle()
    await write(place, "us")
    place.edit(sharding=keyed("eu"))
    await place.settle()
    status, reason, message = place.condition("Synced")
    assert (status, reason) == ("False", "ShardKeyHoldsPoints")
    assert "shard key us is no longer declared and holds 1 points" in message
    assert set(await keys(place)) == {"eu", "us"}
    place.edit(sharding=keyed("eu", removal="Delete"))
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert set(await keys(place)) == {"eu"}


async def test_keys_of_applications_are_left_alone(place: Town) -> None:
    """A key that this object never declared is not removed, empty or not."""
    place.declare(sharding=keyed("eu"))
    await place.settle()
    await place.qdrant.create_shard_key(place.endpoint(), "docs", {"shard_key": "tenant"})
    await place.settle()
    assert set(await keys(place)) == {"eu", "tenant"}
    assert place.status()["shardKeys"] == ["eu"]


async def test_an_operator_that_dies_after_every_pass_makes_each_key_once(place: Town) -> None:
    """What was made is seen in the world; what is ours was written before it was made."""
    place.declare(sharding=keyed("eu", 7, "7"))
    await place.settle(restarting=True)
    assert place.condition("Ready")[0] == "True"
    assert place.qdrant.changes.count("create_shard_key") == 3
    place.edit(sharding=keyed())
    await place.settle(restarting=True)
    assert await keys(place) == {}


@pytest.mark.parametrize("method", ["create_shard_key", "delete_shard_key"])
async def test_a_lost_answer_about_a_key_is_neither_done_nor_failed(place: Town, method: str) -> None:
    """After a time-out the loop looks again, and finds its work done."""
    place.declare(sharding=keyed("eu", "us"))
    place.qdrant.lose_answer_of[method] = Unreachable("time-out of consensus")
    for kept in (keyed("eu", "us"), keyed("eu")):
        place.edit(sharding=kept)
        if method == ("create_shard_key" if len(kept["keys"]) == 2 else "delete_shard_key"):
            with pytest.raises(Unreachable):
                await place.settle()
        await patiently(place)
    assert place.condition("Ready")[0] == "True"
    assert set(await keys(place)) == {"eu"}


async def test_a_key_that_was_written_to_after_the_look_stays(place: Town) -> None:
    """Removing an empty key counts it once more."""
    place.declare(sharding=keyed("eu"))
    await place.settle()
    await write(place, "eu")
    with pytest.raises(Retryable, match="holds 1 points now"):
        await ask(place.qdrant, place.endpoint(), RemoveShardKey("docs", "eu", "eu", 0, consented=False))
    assert set(await keys(place)) == {"eu"}


async def test_a_key_is_not_removed_under_a_transfer_that_has_just_begun(place: Town) -> None:
    """Planned before the transfer, checked after it: nothing is sent; nor while the other loop has the turn."""
    place.declare(sharding=keyed("eu"), replicationFactor=1)
    await place.settle()
    subject, step = place.object(), RemoveShardKey("docs", "eu", "eu", 0, consented=True)
    assert subject is not None
    with (
        place.world.shard_locks.hold(NAMESPACE, CLUSTER, "move docs/1"),
        pytest.raises(Retryable, match="move docs/1"),
    ):
        await act(place.world, subject, place.endpoint(), step)
    await replicate(place)
    with pytest.raises(Retryable, match="checking again"):
        await act(place.world, subject, place.endpoint(), step)
    assert set(await keys(place)) == {"eu"}


async def test_a_key_on_a_peer_that_may_not_hold_it_is_said(place: Town) -> None:
    """The spec names another pod: Ready waits for the cluster's loop to move it."""
    place.declare(sharding=keyed({"key": "eu", "peers": {"pods": ["vectors-0"]}}))
    await place.settle()
    place.edit(sharding=keyed({"key": "eu", "peers": {"pods": ["vectors-1"]}}))
    await until(place, "ReplicasMisplaced")
    assert "shard key eu has replicas on vectors-0, which may not hold it" in place.condition("Replicated")[2]
    assert place.status()["phase"] == "Updating"
