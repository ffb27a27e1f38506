"""The longest name that a QdrantCollection may have is safe in Qdrant; one that only Qdrant takes is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.api.collection.spec import NAME_BYTES
from qdrant_operator.domain.qdrant.views import ReplicaState, ShardId
from tests.contract.qdrant.clusters import KINDS, Cluster, adapter, agreed, eventually, rest, upsert

ONE_SHARD = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1, "replication_factor": 1}
POINTS = 200


@pytest.fixture
async def qdrant() -> AsyncIterator[QdrantRest]:
    """The adapter under test; consensus calls give up after 10 s."""
    async with adapter() as found:
        yield found


@pytest.fixture(params=KINDS)
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, qdrant: QdrantRest
) -> AsyncIterator[Cluster]:
    """Two peers that agree."""
    async with agreed(request.param, tmp_path, qdrant, 2) as cluster:
        yield cluster


@pytest.mark.parametrize("letter", ["a", "é", "知", "😀"])
async def test_the_longest_name_is_made_saved_and_carried_to_another_peer(
    cluster: Cluster, qdrant: QdrantRest, letter: str
) -> None:
    """Directories, snapshots of a shard and of the collection, a transfer by snapshot, and the way back."""
    name = letter * (NAME_BYTES // len(letter.encode()))
    await qdrant.create_collection(cluster.endpoint(0), name, ONE_SHARD)
    assert await upsert(cluster.endpoint(0), name, range(POINTS)) == 200
    ids = [(await qdrant.observe(cluster.endpoint(number))).peer for number in range(2)]
    (docs,) = (await qdrant.observe(cluster.endpoint(0))).collections
    (source,) = docs.shards[0].states
    holder, target = cluster.endpoint(ids.index(source)), next(one for one in ids if one != source)
    made = await qdrant.create_shard_snapshot(holder, name, ShardId(0))
    saved = [chunk async for chunk in qdrant.download_shard_snapshot(holder, name, ShardId(0), made.name)]
    assert sum(len(chunk) for chunk in saved) == made.bytes
    await qdrant.delete_shard_snapshot(holder, name, ShardId(0), made.name)
    status, answer = await rest(holder, "POST", f"/collections/{name}/snapshots")
    assert status == 200, answer
    copy = {"shard_id": 0, "from_peer_id": source, "to_peer_id": target, "method": "snapshot"}
    await qdrant.update_shards(cluster.endpoint(0), name, {"replicate_shard": copy})

    async def both() -> bool:
        (seen,) = (await qdrant.observe(cluster.endpoint(0))).collections
        return seen.shards[0].states == dict.fromkeys(ids, ReplicaState.ACTIVE) and not seen.transfers

    await eventually(both)
    (seen,) = (await qdrant.observe(cluster.endpoint(ids.index(target)))).collections
    assert seen.shards[0].local is not None
    assert seen.shards[0].local.points == POINTS
    await qdrant.delete_collection(cluster.endpoint(0), name)
    assert await qdrant.collections(cluster.endpoint(0)) == ()


@pytest.mark.parametrize("cluster", ["real"], indirect=True)
async def test_a_name_that_the_file_system_does_not_take_stops_consensus_and_the_peers_say_why(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """Qdrant counts characters and takes 255; all peers stop applying, and go on answering."""
    status, _ = await rest(cluster.endpoint(0), "PUT", f"/collections/{'知' * 87}?timeout=2", ONE_SHARD)
    assert status >= 500

    async def stopped() -> bool:
        views = [await qdrant.observe(cluster.endpoint(number)) for number in range(2)]
        return all(
            not view.consensus_working and "File name too long" in view.consensus_error for view in views
        )

    await eventually(stopped)
