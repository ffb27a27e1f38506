"""Operations on shards and members through the adapter: simulated peers, and real ones when QDRANT_BIN is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, Transfer
from tests.contract.qdrant.clusters import (
    CLUSTERED,
    KINDS,
    Cluster,
    adapter,
    agreed,
    eventually,
    formed,
    upsert,
)

ONE_SHARD = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1, "replication_factor": 1}
POINTS = 500
WRITES = 12


@pytest.fixture
async def qdrant() -> AsyncIterator[QdrantRest]:
    """The adapter under test; consensus calls give up after 10 s."""
    async with adapter() as found:
        yield found


@pytest.fixture(params=KINDS)
async def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, qdrant: QdrantRest
) -> AsyncIterator[Cluster]:
    """Three peers with one shard of some points on one of them."""
    async with agreed(request.param, tmp_path, qdrant, 3) as cluster:
        await qdrant.create_collection(cluster.endpoint(0), "docs", ONE_SHARD)
        assert await upsert(cluster.endpoint(0), "docs", range(POINTS)) == 200
        yield cluster


class World:
    """Who holds the shard, in every peer's view."""

    def __init__(self, cluster: Cluster, qdrant: QdrantRest) -> None:
        self._cluster, self._qdrant = cluster, qdrant

    async def peers(self) -> list[PeerId]:
        """Peer ids by number."""
        return [(await self._qdrant.observe(self._cluster.endpoint(n))).peer for n in range(3)]

    async def states(self, number: int = 0) -> dict[PeerId, ReplicaState]:
        """Holders and states in one peer's view."""
        (docs,) = (await self._qdrant.observe(self._cluster.endpoint(number))).collections
        return dict(docs.shards[0].states)

    async def settled(self, *holders: PeerId) -> None:
        """Wait until every peer sees exactly these holders, all Active, and no transfer."""

        async def so() -> bool:
            for number in range(3):
                (docs,) = (await self._qdrant.observe(self._cluster.endpoint(number))).collections
                if docs.transfers or docs.shards[0].states != dict.fromkeys(holders, ReplicaState.ACTIVE):
                    return False
            return True

        await eventually(so)

    async def transfers(self) -> tuple[Transfer, ...]:
        """Transfers that the first peer lists."""
        (docs,) = (await self._qdrant.observe(self._cluster.endpoint(0))).collections
        return docs.transfers


async def test_a_shard_is_replicated_moved_and_dropped(cluster: Cluster, qdrant: QdrantRest) -> None:
    """Each operation leads to its holders in every view; the points are on the last one."""
    world, endpoint = World(cluster, qdrant), cluster.endpoint(0)
    ids = await world.peers()
    (source,) = await world.states()
    first, second = (peer for peer in ids if peer != source)
    copy = {"shard_id": 0, "from_peer_id": source, "to_peer_id": first, "method": "snapshot"}
    await qdrant.update_shards(endpoint, "docs", {"replicate_shard": copy})
    await world.settled(source, first)
    move = {"shard_id": 0, "from_peer_id": source, "to_peer_id": second, "method": "stream_records"}
    await qdrant.update_shards(endpoint, "docs", {"move_shard": move})
    await world.settled(first, second)
    await qdrant.update_shards(endpoint, "docs", {"drop_replica": {"shard_id": 0, "peer_id": first}})
    await world.settled(second)
    (docs,) = (await qdrant.observe(cluster.endpoint(ids.index(second)))).collections
    local = docs.shards[0].local
    assert local is not None
    assert local.points == POINTS
    with pytest.raises(Refused) as last:
        await qdrant.update_shards(endpoint, "docs", {"drop_replica": {"shard_id": 0, "peer_id": second}})
    assert last.value.reason == "BadRequest"
    assert "at least one active replica" in last.value.message


async def test_a_listed_transfer_tells_whether_the_source_stays(cluster: Cluster, qdrant: QdrantRest) -> None:
    """A move is listed as one that does not keep its source."""
    world, endpoint = World(cluster, qdrant), cluster.endpoint(0)
    (source,) = await world.states()
    target = next(peer for peer in await world.peers() if peer != source)
    ends = {"shard_id": 0, "from_peer_id": source, "to_peer_id": target}
    await qdrant.update_shards(endpoint, "docs", {"move_shard": ends})
    seen: set[tuple[PeerId, PeerId, bool]] = set()

    async def moved() -> bool:
        seen.update((t.source, t.target, t.keeps_source) for t in await world.transfers())
        return list(await world.states()) == [target] and not await world.transfers()

    await eventually(moved)
    assert seen <= {(source, target, False)}


async def test_a_transfer_that_does_not_run_cannot_be_aborted(cluster: Cluster, qdrant: QdrantRest) -> None:
    """The refusal is NotFound: whoever aborts looks again and finds it over."""
    ids = await World(cluster, qdrant).peers()
    ends = {"shard_id": 0, "from_peer_id": ids[0], "to_peer_id": ids[1]}
    with pytest.raises(Refused) as refused:
        await qdrant.update_shards(cluster.endpoint(0), "docs", {"abort_transfer": ends})
    assert refused.value.reason == "NotFound"


async def _holder_and_empty(world: World) -> tuple[list[PeerId], PeerId, int]:
    """All ids, that of the peer with the shard, and the number of one without."""
    ids = await world.peers()
    (holder,) = await world.states()
    return ids, holder, next(n for n in (2, 1) if ids[n] != holder)


async def test_a_peer_with_shards_is_not_removed_and_an_empty_one_is(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """Without force Qdrant refuses the holder; the empty peer is gone from the survivors' views."""
    ids, holder, empty = await _holder_and_empty(World(cluster, qdrant))
    other = next(n for n in range(3) if n != empty)
    with pytest.raises(Refused) as refused:
        await qdrant.remove_peer(cluster.endpoint(other), holder, force=False)
    assert refused.value.reason == "BadRequest"
    assert "there are shards on it" in refused.value.message
    await qdrant.remove_peer(cluster.endpoint(other), ids[empty], force=False)
    survivors = [number for number in range(3) if number != empty]

    async def gone() -> bool:
        views = [await qdrant.observe(cluster.endpoint(number)) for number in survivors]
        return all(set(view.peers) == set(ids) - {ids[empty]} for view in views)

    assert await eventually(gone)

    async def alone() -> bool:
        view = await qdrant.observe(cluster.endpoint(empty))
        return set(view.peers) == {view.peer} and not view.consensus_working

    assert await eventually(alone), "the removed peer runs on, outside of any consensus"


async def test_a_peer_that_stands_still_while_it_is_removed_never_hears_of_it(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """It goes on listing everybody, and asks for votes: the others lose their leader again and again."""
    ids, _, empty = await _holder_and_empty(World(cluster, qdrant))
    cluster.running[empty].pause()
    await qdrant.remove_peer(cluster.endpoint(0), ids[empty], force=False)
    term = (await qdrant.observe(cluster.endpoint(0))).term
    cluster.running[empty].resume()

    async def unrest() -> bool:
        return (await qdrant.observe(cluster.endpoint(0))).term > term + 2

    assert await eventually(unrest, 60)
    views = [await qdrant.observe(cluster.endpoint(number)) for number in range(3)]
    assert [ids[empty] in view.peers for view in views] == [number == empty for number in range(3)]
    assert set(views[empty].peers) == set(ids)


async def test_force_takes_the_replicas_of_a_dead_peer_along(cluster: Cluster, qdrant: QdrantRest) -> None:
    """A killed holder is removed; its replica is in no view any more, the other one stays."""
    world, endpoint = World(cluster, qdrant), cluster.endpoint(0)
    ids = await world.peers()
    (source,) = await world.states()
    if source == ids[2]:
        keep, lost = ids[0], ids[2]
    else:
        keep, lost = source, ids[2]
    ends = {"shard_id": 0, "from_peer_id": source, "to_peer_id": lost if source != lost else keep}
    await qdrant.update_shards(endpoint, "docs", {"replicate_shard": ends})
    await world.settled(*sorted({source, PeerId(ends["to_peer_id"])}))
    await cluster.kill(2)

    async def removed() -> bool:
        await qdrant.remove_peer(endpoint, lost, force=True)
        return True

    await eventually(removed)

    async def only_kept() -> bool:
        return list(await world.states(0)) == [keep] and list(await world.states(1)) == [keep]

    assert await eventually(only_kept)


async def test_a_write_succeeds_when_its_dead_holder_is_removed_meanwhile(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """It waits until the holder that failed is Dead; one that is gone is as good."""
    shared = {**ONE_SHARD, "shard_number": WRITES, "replication_factor": 3}
    await qdrant.create_collection(cluster.endpoint(0), "shared", shared)
    lost = (await World(cluster, qdrant).peers())[2]
    await cluster.kill(2)
    entries = [cluster.endpoint(number % 2) for number in range(WRITES)]
    writes = [upsert(entry, "shared", range(first, first + 1)) for first, entry in enumerate(entries)]
    removal = qdrant.remove_peer(cluster.endpoint(0), lost, force=True)
    *statuses, _ = await asyncio.gather(*writes, removal)
    assert statuses == [200] * WRITES


async def test_an_id_that_is_no_member_is_cleared_by_force_and_by_nothing_else(
    cluster: Cluster, qdrant: QdrantRest
) -> None:
    """Its replicas cannot be dropped, its removal takes them out; a collection that is on it alone can be deleted."""
    world, endpoint = World(cluster, qdrant), cluster.endpoint(0)
    ids, (source,) = await world.peers(), await world.states()
    other = ids[1] if source == ids[0] else source
    copy = {"from_peer_id": source, "to_peer_id": ids[1] if source == ids[0] else ids[0]}
    await qdrant.update_shards(endpoint, "docs", {"replicate_shard": {"shard_id": 0, **copy}})
    await world.settled(ids[0], other)
    await qdrant.create_collection(endpoint, "spread", {**ONE_SHARD, "shard_number": 3})
    for number in range(3):
        await cluster.kill(number)
    await cluster.start(0, CLUSTERED, "--reinit")
    await eventually(lambda: formed(cluster, qdrant, 1))
    drop = {"drop_replica": {"shard_id": 0, "peer_id": other}}
    with pytest.raises(Refused, match="does not exist"):
        await qdrant.update_shards(endpoint, "docs", drop)
    await qdrant.delete_collection(endpoint, "spread")
    assert set(await world.states()) == {ids[0], other}
    await qdrant.remove_peer(endpoint, other, force=True)
    assert await world.states() == {ids[0]: ReplicaState.ACTIVE}
