"""Replication factor and shard keys against simulated peers and, when QDRANT_BIN is set, against real ones.

The test does what the QdrantCluster's loop does, makes replicas; all else is the collection's own plan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.observed import Desired, Observed, PodSeen
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.steps import CollectionGuard, CollectionPlan, CollectionStep
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.reconcile.collection.act import ask
from qdrant_operator.reconcile.collection.observe import observe_collection, observed_shards
from tests.contract.qdrant.clusters import KINDS, Cluster, adapter, agreed, eventually, rest

BASE: dict[str, Any] = {"clusterRef": {"name": "vectors"}, "vectors": {"size": 4, "distance": "Dot"}}
VECTORS = {"vectors": {"size": 4, "distance": "Dot"}}
KEYED = {**VECTORS, "sharding_method": "custom"}
EU = {"key": "eu", "shards": 2, "replicationFactor": 2, "peers": {"pods": ["vectors-0", "vectors-1"]}}


@pytest.fixture
async def qdrant() -> AsyncIterator[QdrantRest]:
    """The real adapter."""
    async with adapter() as found:
        yield found


@pytest.fixture(params=KINDS)
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, qdrant: QdrantRest
) -> AsyncIterator[Cluster]:
    """Three peers that agree."""
    async with agreed(request.param, tmp_path, qdrant, 3) as cluster:
        yield cluster


def wanted(spec: dict[str, Any], *keys: int | str) -> Desired:
    """The collection docs; `keys` are those that its object has made before."""
    parsed = CollectionSpec.model_validate({**BASE, **spec})
    return Desired("docs", "default/docs/uid", parsed, wanted_peers=3, granted_keys=frozenset(keys))


async def seen(cluster: Cluster, qdrant: QdrantRest, desired: Desired) -> Observed:
    """One look at all three peers."""
    views = [await qdrant.observe(cluster.endpoint(number)) for number in range(3)]
    collection = await observe_collection(qdrant, cluster.endpoint(0), desired.name, views)
    pods = tuple(PodSeen(f"vectors-{number}", number, view.peer) for number, view in enumerate(views))
    return replace(observed_shards(desired, views, collection), pods=pods)


async def settle(
    cluster: Cluster, qdrant: QdrantRest, desired: Desired
) -> tuple[list[CollectionStep], CollectionPlan]:
    """Carry out first steps until only what waits is left, as every peer tells it."""
    taken: list[CollectionStep] = []

    async def nothing_to_do() -> CollectionPlan | None:
        observed = await seen(cluster, qdrant, desired)
        planned = plan(desired, observed)
        if not planned.steps:
            passing = {one.guard for one in planned.blocked} & {CollectionGuard.PEERS_CATCHING_UP}
            return None if passing else planned
        if planned.steps[0] not in taken:
            taken.append(planned.steps[0])
            await ask(qdrant, cluster.endpoint(0), planned.steps[0])
        return None

    return taken, await eventually(nothing_to_do)


async def factors(cluster: Cluster, qdrant: QdrantRest) -> list[tuple[int, int]]:
    """Replication factor and write factor, as each peer has them."""
    views = [await qdrant.observe(cluster.endpoint(number)) for number in range(3)]
    return [
        (one.replication_factor, one.write_consistency_factor) for view in views for one in view.collections
    ]


async def replicate(cluster: Cluster, qdrant: QdrantRest, desired: Desired) -> None:
    """Give every shard one more replica, and wait until it is sound."""
    observed = await seen(cluster, qdrant, desired)
    ids = [pod.peer for pod in observed.pods]
    for shard in observed.shards:
        source = next(iter(shard.sound))
        target = next(peer for peer in ids if peer not in shard.holders)
        body = {"shard_id": shard.shard, "from_peer_id": source, "to_peer_id": target}
        await qdrant.update_shards(cluster.endpoint(0), "docs", {"replicate_shard": body})

    async def done() -> bool:
        return all(len(shard.sound) == 2 for shard in (await seen(cluster, qdrant, desired)).shards)

    await eventually(done)


async def test_the_factor_is_changed_live_and_the_write_factor_stays_legal(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """Up: factor at once, write factor after the replicas. Down: both in one request. Never a write factor above."""
    await settle(cluster, qdrant, wanted({"shardNumber": 2, "replicationFactor": 1}))
    more = wanted({"shardNumber": 2, "replicationFactor": 2, "writeConsistencyFactor": 2})
    taken, left = await settle(cluster, qdrant, more)
    assert [str(step) for step in taken] == ["change replicationFactor of collection docs"]
    assert [one.guard for one in left.blocked] == [CollectionGuard.REPLICAS_MISSING]
    await eventually(lambda: _all(cluster, qdrant, (2, 1)))
    await replicate(cluster, qdrant, more)
    taken, left = await settle(cluster, qdrant, more)
    assert [str(step) for step in taken] == ["change writeConsistencyFactor of collection docs"]
    assert left == Plan()
    await eventually(lambda: _all(cluster, qdrant, (2, 2)))
    taken, left = await settle(cluster, qdrant, wanted({"shardNumber": 2, "replicationFactor": 1}))
    assert [str(step) for step in taken] == [
        "change replicationFactor, writeConsistencyFactor of collection docs"
    ]
    assert left == Plan()
    await eventually(lambda: _all(cluster, qdrant, (1, 1)))


async def _all(cluster: Cluster, qdrant: QdrantRest, pair: tuple[int, int]) -> bool:
    """Whether every peer has this pair; a peer that has a write factor above its factor is a failure."""
    told = await factors(cluster, qdrant)
    assert all(writes <= factor for factor, writes in told)
    return told == [pair] * 3


async def test_keys_are_made_placed_and_removed(cluster: Cluster, qdrant: QdrantRest) -> None:
    """One call for each key; an empty key goes, one with points waits for consent; 7 and "7" are two."""
    sharding = {"method": "Custom", "keys": [EU, {"key": 7}, {"key": "7"}]}
    taken, left = await settle(cluster, qdrant, wanted({"sharding": sharding}))
    assert [str(step) for step in taken] == [
        "create collection docs",
        "create shard key eu of docs: shards 2, replicas 2 on vectors-0, vectors-1",
        "create shard key 7 of docs: shards 1, replicas 1",
        'create shard key "7" of docs: shards 1, replicas 1',
    ]
    assert left == Plan()
    observed = await seen(cluster, qdrant, wanted({"sharding": sharding}))
    assert observed.keys["eu"].holders == {pod.peer for pod in observed.pods[:2]}
    assert {key: one.shards for key, one in observed.keys.items()} == {"eu": 2, 7: 1, "7": 1}
    await write(cluster, 7)
    fewer = {"sharding": {"method": "Custom", "keys": [{**EU, "shards": 3}]}}
    gone, left = await settle(cluster, qdrant, wanted(fewer, "eu", 7, "7"))
    assert [str(step) for step in gone] == ['remove shard key "7" of docs (it is empty)']
    assert [one.guard for one in left.blocked] == [
        CollectionGuard.IMMUTABLE_FIELD_CHANGED,
        CollectionGuard.SHARD_KEY_HOLDS_POINTS,
    ]
    assert "sharding.keys[eu].shards is 2, wanted 3" in left.blocked[0].message
    assert "shard key 7 is no longer declared and holds 1 points" in left.blocked[1].message
    fewer["sharding"]["onKeyRemoval"] = "Delete"
    gone, _ = await settle(cluster, qdrant, wanted(fewer, "eu", 7, "7"))
    assert [type(step).__name__ for step in gone] == ["RemoveShardKey"]
    assert set((await seen(cluster, qdrant, wanted(fewer))).keys) == {"eu"}


async def write(cluster: Cluster, key: int | str) -> None:
    """One point into a shard key."""
    body = {"points": [{"id": 1, "vector": [1.0, 0.0, 0.0, 0.0]}], "shard_key": key}
    status, _ = await rest(cluster.endpoint(0), "PUT", "/collections/docs/points?wait=true", body)
    assert status == 200


async def test_what_qdrant_says_of_keys(cluster: Cluster, qdrant: QdrantRest) -> None:
    """Made twice, deleted twice, counted, refused: the reasons on which the loop acts."""
    peer = cluster.endpoint(0)
    await qdrant.create_collection(peer, "docs", KEYED)
    await qdrant.create_collection(peer, "plain", VECTORS)
    await qdrant.create_shard_key(peer, "docs", {"shard_key": "eu"})
    await write(cluster, "eu")
    assert await qdrant.count_key_points(peer, "docs", "eu") == 1
    refusals = {
        "AlreadyExists": qdrant.create_shard_key(peer, "docs", {"shard_key": "eu"}),
        "NotFound": qdrant.delete_shard_key(peer, "docs", 7),
    }
    for reason, call in refusals.items():
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.reason == reason
    wrong = {
        "Auto sharding method": qdrant.create_shard_key(peer, "plain", {"shard_key": "eu"}),
        "with Auto sharding": qdrant.delete_shard_key(peer, "plain", "eu"),
        "placement cannot be empty": qdrant.create_shard_key(peer, "docs", {"shard_key": 1, "placement": []}),
        "Peer 42 does not exist": qdrant.create_shard_key(peer, "docs", {"shard_key": 1, "placement": [42]}),
        "untagged enum ShardKey": qdrant.create_shard_key(peer, "docs", {"shard_key": -1}),
        "Shard key 1 not found": qdrant.count_key_points(peer, "docs", 1),
        "expected a nonzero u32": qdrant.update_collection(
            peer, "docs", {"params": {"replication_factor": 0}}
        ),
    }
    for words, mistake in wrong.items():
        with pytest.raises(Refused, match=words) as refused:
            await mistake
        assert refused.value.reason == "BadRequest"
    await qdrant.update_collection(peer, "docs", {"params": {"shard_number": 9, "sharding_method": "auto"}})
    view = next(one for one in (await qdrant.observe(peer)).collections if one.name == "docs")
    assert (view.shard_number, view.sharding_custom) == (1, True)
    await qdrant.delete_shard_key(peer, "docs", "eu")
