"""The Qdrant adapter against simulated peers and, when QDRANT_BIN is set, against real ones: the same facts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.views import CollectionView, PeerView, ReplicaState, ShardId
from qdrant_operator.reconcile.ports import Qdrant
from tests.contract.qdrant.clusters import (
    CLUSTERED,
    KINDS,
    Cluster,
    eventually,
    form,
    make,
    rest,
    upsert,
)

VECTORS = {"vectors": {"size": 4, "distance": "Dot"}}
TWO_BY_TWO = VECTORS | {"shard_number": 2, "replication_factor": 2}


@pytest.fixture
async def rest_adapter() -> AsyncIterator[QdrantRest]:
    """The adapter under test; consensus calls give up after 3 s."""
    adapter = QdrantRest(lambda operation, outcome, seconds: None, consensus_seconds=3)
    yield adapter
    await adapter.close()


@pytest.fixture
def qdrant(rest_adapter: QdrantRest) -> Qdrant:
    """The adapter as the loop sees it: mypy checks that it is the port."""
    return rest_adapter


@pytest.fixture(params=KINDS)
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster of which nothing runs yet."""
    cluster = make(request.param, tmp_path)
    yield cluster
    await cluster.close()


@pytest.fixture
async def cluster(empty: Cluster, rest_adapter: QdrantRest) -> Cluster:
    """Three peers that agree."""
    await form(empty, rest_adapter, 3)
    return empty


def only(view: PeerView) -> CollectionView:
    """The one collection of a view."""
    (collection,) = view.collections
    return collection


async def test_three_peers_see_the_same_cluster(cluster: Cluster, qdrant: Qdrant) -> None:
    """Every peer's view has the same members by id and URI, one leader, one term, and its own id."""
    views = [await qdrant.observe(cluster.endpoint(n)) for n in range(3)]
    assert len({view.peer for view in views}) == 3
    for number, view in enumerate(views):
        assert view.peers == views[0].peers
        assert view.peers[view.peer] == cluster.uri(number)
        assert (view.leader, view.term) == (views[0].leader, views[0].term)
        assert view.voter
        assert view.consensus_working
        assert view.version.count(".") == 2
        assert view.collections == ()


async def test_a_peer_that_has_joined_becomes_ready(cluster: Cluster, qdrant: Qdrant) -> None:
    """A joined peer says ready after a while, and the first peer at once."""
    assert (await qdrant.observe(cluster.endpoint(0))).ready

    async def ready() -> bool:
        return (await qdrant.observe(cluster.endpoint(2))).ready

    assert await eventually(ready)


async def test_views_show_replicas_and_local_points(cluster: Cluster, qdrant: Qdrant) -> None:
    """Holders know their points and bytes; everybody knows every replica's state."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO)
    assert await upsert(cluster.endpoint(1), "docs", range(200)) == 200
    views = [await qdrant.observe(cluster.endpoint(n)) for n in range(3)]
    held = 0
    for view in views:
        docs = only(view)
        assert (docs.name, docs.shard_number, docs.replication_factor) == ("docs", 2, 2)
        assert (docs.write_consistency_factor, docs.sharding_custom, docs.resharding) == (1, False, False)
        assert [shard.shard for shard in docs.shards] == [0, 1]
        for shard, same in zip(docs.shards, only(views[0]).shards, strict=True):
            assert shard.states == same.states
            assert set(shard.states.values()) == {ReplicaState.ACTIVE}
            assert (shard.local is not None) == (view.peer in shard.states)
            if shard.local is not None:
                assert shard.local.points is not None
                assert not shard.local.dummy
                assert shard.local.bytes > 0
                held += shard.local.points
    assert held == 2 * 200


async def test_metadata_keys_are_read_back_and_reach_every_peer(cluster: Cluster, qdrant: Qdrant) -> None:
    """A key is absent before, readable where it was written, and everywhere a little later."""
    key = "operator/uid é"
    assert await qdrant.cluster_key(cluster.endpoint(1), key) is None
    await qdrant.put_cluster_key(cluster.endpoint(1), key, {"uid": "abc"})
    assert await qdrant.cluster_key(cluster.endpoint(1), key) == {"uid": "abc"}
    for number in range(3):

        async def there(number: int = number) -> bool:
            return bool(await qdrant.cluster_key(cluster.endpoint(number), key) == {"uid": "abc"})

        assert await eventually(there)


async def test_a_collection_lives_from_create_to_delete(cluster: Cluster, qdrant: Qdrant) -> None:
    """Created, listed, read, changed and deleted under a name that must be quoted; gone in every list."""
    name, endpoint = "a b%41#é", cluster.endpoint(0)
    await qdrant.create_collection(endpoint, name, TWO_BY_TWO | {"metadata": {"owner": "test"}})
    assert await qdrant.collections(endpoint) == (name,)
    config = (await qdrant.collection(endpoint, name))["config"]
    assert config["metadata"] == {"owner": "test"}
    assert config["params"]["replication_factor"] == 2
    await qdrant.update_collection(endpoint, name, {"hnsw_config": {"m": 24}})
    assert (await qdrant.collection(endpoint, name))["config"]["hnsw_config"]["m"] == 24
    await qdrant.delete_collection(endpoint, name)
    assert await qdrant.collections(endpoint) == ()


async def test_refusals_say_who_must_act(cluster: Cluster, qdrant: Qdrant) -> None:
    """Each refusal has its reason, and Qdrant's own words."""
    endpoint = cluster.endpoint(0)
    await qdrant.create_collection(endpoint, "docs", VECTORS)
    with pytest.raises(Refused) as taken:
        await qdrant.create_collection(endpoint, "docs", VECTORS)
    assert taken.value.reason == "AlreadyExists"
    assert "already exists" in taken.value.message
    with pytest.raises(Refused) as missing:
        await qdrant.collection(endpoint, "nope")
    assert missing.value.reason == "NotFound"
    assert "nope" in missing.value.message
    with pytest.raises(Refused) as wrong:
        await qdrant.create_collection(endpoint, "bad", {"vectors": {"size": 0, "distance": "Dot"}})
    assert wrong.value.reason == "BadRequest"
    assert "VectorsConfig" in wrong.value.message
    with pytest.raises(Refused) as invalid:
        await qdrant.create_collection(endpoint, "a/b", VECTORS)
    assert invalid.value.reason == "BadRequest"
    assert "/" in invalid.value.message


async def test_payload_indexes_are_declared_replaced_and_dropped(cluster: Cluster, qdrant: Qdrant) -> None:
    """An index is in the schema after the call; another type on the same field replaces it; a drop removes it."""
    endpoint = cluster.endpoint(0)
    await qdrant.create_collection(endpoint, "docs", VECTORS)

    async def schema() -> dict[str, str]:
        info = await qdrant.collection(endpoint, "docs")
        return {field: about["data_type"] for field, about in info["payload_schema"].items()}

    async def shows(wanted: dict[str, str]) -> bool:
        return await schema() == wanted

    await qdrant.put_payload_index(endpoint, "docs", "meta.tenant", {"type": "keyword", "is_tenant": True})
    await qdrant.put_payload_index(endpoint, "docs", "n", "integer")
    assert await eventually(lambda: shows({"meta.tenant": "keyword", "n": "integer"}))
    await qdrant.put_payload_index(endpoint, "docs", "n", "keyword")
    assert await eventually(lambda: shows({"meta.tenant": "keyword", "n": "keyword"}))
    await qdrant.delete_payload_index(endpoint, "docs", "meta.tenant")
    assert await eventually(lambda: shows({"n": "keyword"}))


async def test_aliases_change_in_one_call_up_to_the_first_that_fails(
    cluster: Cluster, qdrant: Qdrant
) -> None:
    """A switch happens in one call; an impossible action is refused, and those before it in the list stay."""
    endpoint = cluster.endpoint(0)
    for name in ("blue", "green"):
        await qdrant.create_collection(endpoint, name, VECTORS)
    point = {"create_alias": {"collection_name": "blue", "alias_name": "live"}}
    await qdrant.update_aliases(endpoint, [point])
    assert await qdrant.aliases(endpoint) == {"live": "blue"}
    switch = {"create_alias": {"collection_name": "green", "alias_name": "live"}}
    lost = {"create_alias": {"collection_name": "nope", "alias_name": "x"}}
    with pytest.raises(Refused) as refused:
        await qdrant.update_aliases(endpoint, [switch, lost, point])
    assert refused.value.reason == "NotFound"
    assert await qdrant.aliases(endpoint) == {"live": "green"}
    await qdrant.update_aliases(endpoint, [{"delete_alias": {"alias_name": "live"}}, point])
    assert await qdrant.aliases(endpoint) == {"live": "blue"}


async def holding(cluster: Cluster, qdrant: Qdrant, shard: int, holder: bool) -> Endpoint:
    """A peer that holds the shard, or one that does not."""
    for number in range(3):
        view = await qdrant.observe(cluster.endpoint(number))
        if (view.peer in only(view).shards[shard].states) == holder:
            return cluster.endpoint(number)
    raise AssertionError("every peer is alike")


async def test_a_shard_snapshot_is_made_listed_downloaded_and_deleted(
    cluster: Cluster, qdrant: Qdrant
) -> None:
    """The file's bytes have the size and the SHA-256 that Qdrant says; after the deletion there is none."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO)
    await upsert(cluster.endpoint(0), "docs", range(100))
    endpoint, shard = await holding(cluster, qdrant, 0, holder=True), ShardId(0)
    made = await qdrant.create_shard_snapshot(endpoint, "docs", shard)
    assert await qdrant.shard_snapshots(endpoint, "docs", shard) == (made,)
    chunks = [chunk async for chunk in qdrant.download_shard_snapshot(endpoint, "docs", shard, made.name)]
    content = b"".join(chunks)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (made.bytes, made.sha256)
    await qdrant.delete_shard_snapshot(endpoint, "docs", shard, made.name)
    assert await qdrant.shard_snapshots(endpoint, "docs", shard) == ()
    with pytest.raises(Refused) as missing:
        _ = [chunk async for chunk in qdrant.download_shard_snapshot(endpoint, "docs", shard, made.name)]
    assert missing.value.reason == "NotFound"


async def test_a_shard_that_the_peer_does_not_hold_has_no_snapshot(cluster: Cluster, qdrant: Qdrant) -> None:
    """Asked for a shard that lives elsewhere, a peer refuses."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO)
    endpoint = await holding(cluster, qdrant, 1, holder=False)
    with pytest.raises(Refused) as refused:
        await qdrant.create_shard_snapshot(endpoint, "docs", ShardId(1))
    assert refused.value.reason == "BadRequest"
    assert "not a local" in refused.value.message


async def test_a_transfer_is_seen_while_it_runs(cluster: Cluster, qdrant: Qdrant) -> None:
    """A replicate call shows as a transfer with its ends, and ends with one more Active replica."""
    endpoint = cluster.endpoint(0)
    await qdrant.create_collection(endpoint, "docs", VECTORS | {"shard_number": 1, "replication_factor": 1})
    await upsert(endpoint, "docs", range(500))
    view = await qdrant.observe(endpoint)
    (source,) = only(view).shards[0].states
    target = next(peer for peer in view.peers if peer != source)
    ask = {"replicate_shard": {"shard_id": 0, "from_peer_id": source, "to_peer_id": target}}
    assert (await rest(endpoint, "POST", "/collections/docs/cluster", ask))[0] == 200
    seen: set[tuple[int, int, int]] = set()

    async def two_active() -> bool:
        now = only(await qdrant.observe(endpoint))
        seen.update((t.shard, t.source, t.target) for t in now.transfers)
        return list(now.shards[0].states.values()) == [ReplicaState.ACTIVE] * 2 and not now.transfers

    await eventually(two_active)
    assert seen == {(0, source, target)}


async def test_a_killed_peer_is_unreachable_and_its_replicas_stay_active(
    cluster: Cluster, qdrant: Qdrant
) -> None:
    """Nobody writes: the killed peer's replicas stay Active in all views, only the call to it tells."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO | {"replication_factor": 3})
    assert (await qdrant.observe(cluster.endpoint(2))).voter
    await cluster.kill(2)
    with pytest.raises(Unreachable):
        await qdrant.observe(cluster.endpoint(2))
    states = only(await qdrant.observe(cluster.endpoint(0))).shards[0].states
    assert set(states.values()) == {ReplicaState.ACTIVE}


async def test_writes_find_out_that_a_peer_is_dead_and_it_heals_when_it_is_back(
    cluster: Cluster, qdrant: Qdrant
) -> None:
    """A write beside a killed peer succeeds and leaves its replicas Dead; back on its volume it heals itself."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO | {"replication_factor": 3})
    lost = (await qdrant.observe(cluster.endpoint(2))).peer
    await cluster.kill(2)
    assert await upsert(cluster.endpoint(0), "docs", range(100)) == 200

    async def state(wanted: ReplicaState) -> bool:
        shards = only(await qdrant.observe(cluster.endpoint(0))).shards
        return all(shard.states[lost] == wanted for shard in shards)

    assert await eventually(lambda: state(ReplicaState.DEAD))
    await cluster.start(2)
    assert await eventually(lambda: state(ReplicaState.ACTIVE))
    held = [shard.local for shard in only(await qdrant.observe(cluster.endpoint(2))).shards]
    assert sum(local.points or 0 for local in held if local) == 100


async def test_without_quorum_a_consensus_call_is_neither_done_nor_refused(
    cluster: Cluster, qdrant: Qdrant
) -> None:
    """With two of three peers killed, creating a collection is Unreachable, and reads of the view go on."""
    await cluster.kill(1)
    await cluster.kill(2)
    with pytest.raises(Unreachable, match=r"Timeout set at: 3 seconds|leader is not established"):
        await qdrant.create_collection(cluster.endpoint(0), "docs", VECTORS)
    assert len((await qdrant.observe(cluster.endpoint(0))).peers) == 3


async def test_a_name_with_a_lost_volume_cannot_join_again(cluster: Cluster, qdrant: Qdrant) -> None:
    """An empty volume under an old URI whose id still holds shards exits 101, and the old id stays a member."""
    await qdrant.create_collection(cluster.endpoint(0), "docs", TWO_BY_TWO | {"replication_factor": 3})
    lost = (await qdrant.observe(cluster.endpoint(2))).peer
    await cluster.kill(2)
    (cluster.folder / "2").rename(cluster.folder / "lost")
    await cluster.start(2)
    assert await cluster.running.pop(2).gone() == 101
    assert lost in (await qdrant.observe(cluster.endpoint(0))).peers


async def test_keys_are_taken_as_qdrant_takes_them(empty: Cluster, qdrant: Qdrant) -> None:
    """The key and its alternate may do everything, the read-only key may look, others nothing."""
    keys = {
        "QDRANT__SERVICE__API_KEY": "main",
        "QDRANT__SERVICE__ALT_API_KEY": "next",
        "QDRANT__SERVICE__READ_ONLY_API_KEY": "read",
    }
    await empty.start(0, CLUSTERED | keys)
    url = empty.endpoint(0).url
    with_key = {key: Endpoint(url, "pod-0", key) for key in ("main", "next", "read", "wrong", None)}

    async def answers() -> bool:
        return (await qdrant.observe(with_key["main"])).leader is not None

    await eventually(answers)
    for key in ("main", "next"):
        await qdrant.create_collection(with_key[key], f"by-{key}", VECTORS)
    assert await qdrant.collections(with_key["read"]) == ("by-main", "by-next")
    for bad in ("wrong", None):
        with pytest.raises(Refused) as closed:
            await qdrant.observe(with_key[bad])
        assert closed.value.reason == "Forbidden"
    with pytest.raises(Refused) as reader:
        await qdrant.create_collection(with_key["read"], "by-read", VECTORS)
    assert reader.value.reason == "Forbidden"


async def test_a_peer_outside_any_cluster_is_refused_by_name(empty: Cluster, qdrant: Qdrant) -> None:
    """A server that runs without cluster mode is not mistaken for a peer."""
    await empty.start(0, {})

    async def refusal() -> str:
        try:
            await qdrant.observe(empty.endpoint(0))
        except Refused as refused:
            return refused.reason
        return ""

    assert await eventually(refusal) == "ClusterModeDisabled"


async def test_an_address_where_nobody_listens_is_unreachable_at_once(empty: Cluster, qdrant: Qdrant) -> None:
    """A refused connection does not wait for any time limit."""
    async with asyncio.timeout(1.0):
        with pytest.raises(Unreachable, match="6333"):
            await qdrant.observe(empty.endpoint(0))
