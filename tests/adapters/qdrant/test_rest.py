"""The Qdrant adapter against servers that misbehave, and its reading of recorded answers."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from qdrant_operator.adapters.qdrant import pools as qdrant_pools
from qdrant_operator.adapters.qdrant import rest as qdrant
from qdrant_operator.adapters.qdrant.json import peer_view
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Transfer

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
RECORDING = Path(__file__).parents[2] / "contract" / "data" / "qdrant-1.19.0.jsonl"
SHARD = ShardId(0)


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """Operations and outcomes that the metrics hook was told."""
    return []


@pytest.fixture
async def adapter(told: list[tuple[str, str]]) -> AsyncIterator[QdrantRest]:
    """The adapter under test."""
    made = QdrantRest(lambda operation, outcome, seconds: told.append((operation, outcome)))
    yield made
    await made.close()


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    """A server that lets `handle` answer everything; its URL."""
    application = web.Application(client_max_size=2**30)
    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


def saying(status: int, body: Any = None, text: str = "") -> Handle:
    """Always the same answer."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text or json.dumps(body))

    return handle


def qdrant_error(message: str) -> dict[str, Any]:
    """An error in Qdrant's envelope."""
    return {"status": {"error": message}, "time": 0.0}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "BadRequest"),
        (401, "Forbidden"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (405, "BadRequest"),
        (409, "AlreadyExists"),
        (422, "BadRequest"),
    ],
)
async def test_a_refusal_carries_its_reason_and_qdrants_words(
    adapter: QdrantRest, told: list[tuple[str, str]], status: int, reason: str
) -> None:
    """Somebody must act: the reason is a closed word, the message is Qdrant's."""
    async with serving(saying(status, qdrant_error("because"))) as url:
        with pytest.raises(Refused) as refused:
            await adapter.create_collection(Endpoint(url, "pod"), "docs", {})
    assert (refused.value.reason, refused.value.message) == (reason, "because")
    assert told == [("create_collection", "refused")]


@pytest.mark.parametrize("status", [408, 429, 500, 503, 507])
async def test_a_failure_of_the_server_says_nothing_about_the_call(
    adapter: QdrantRest, told: list[tuple[str, str]], status: int
) -> None:
    """Neither done nor failed: look again. The message names the peer and Qdrant's words."""
    async with serving(saying(status, qdrant_error("Waiting for consensus"))) as url:
        with pytest.raises(Unreachable, match=f"{url}.*{status}.*Waiting for consensus"):
            await adapter.create_collection(Endpoint(url, "pod"), "docs", {})
    assert told == [("create_collection", "unreachable")]


async def test_a_process_that_must_not_act_sends_no_change() -> None:
    """A leader that stood still goes on in the middle of a step: it may look, and sends nothing that changes."""
    sent: list[str] = []

    async def note(request: web.Request) -> web.Response:
        sent.append(request.method)
        return web.json_response({"result": {"collections": []}})

    deposed = QdrantRest(lambda *_: None, may_act=lambda: False)
    async with serving(note) as url:
        peer = Endpoint(url, "pod")
        for change in (
            deposed.update_shards(peer, "docs", {"drop_replica": {"shard_id": 0, "peer_id": 1}}),
            deposed.remove_peer(peer, PeerId(1), force=True),
            deposed.create_collection(peer, "docs", {}),
        ):
            with pytest.raises(Retryable, match="not the leader"):
                await change
        assert await deposed.collections(peer) == ()
    await deposed.close()
    assert sent == ["GET"]


async def test_a_plain_text_refusal_keeps_its_text(adapter: QdrantRest) -> None:
    """401 answers are plain text."""
    async with serving(saying(401, text="Must provide an API key")) as url:
        with pytest.raises(Refused, match="Must provide an API key"):
            await adapter.collections(Endpoint(url, "pod"))


async def test_silence_ends_with_the_time_limit(adapter: QdrantRest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that accepts and never answers is Unreachable when the observation's time is up."""
    monkeypatch.setattr(qdrant, "OBSERVE_SECONDS", 0.2)

    async def silence(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silence) as url, asyncio.timeout(2):
        with pytest.raises(Unreachable, match="no answer in time"):
            await adapter.observe(Endpoint(url, "pod"))


@pytest.mark.parametrize("answer", ["not json", "[]", '{"result": {"status": "enabled"}}'])
async def test_an_unusable_answer_is_not_an_empty_view(adapter: QdrantRest, answer: str) -> None:
    """What cannot be read is unknown, never `no members` or `no collections`."""
    async with serving(saying(200, text=answer)) as url:
        with pytest.raises(Unreachable, match="unusable"):
            await adapter.observe(Endpoint(url, "pod"))


async def test_each_pod_has_connections_of_its_own(adapter: QdrantRest) -> None:
    """Calls to one pod share a connection; another pod at the same address gets a new one."""
    ports: list[int] = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.json_response({"result": {"collections": []}})

    async with serving(note) as url:
        for identity in ("old", "old", "new"):
            await adapter.collections(Endpoint(url, identity))
    assert ports[0] == ports[1] != ports[2]


async def test_pools_of_forgotten_pods_are_closed(
    adapter: QdrantRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the least recently used pod's connections are closed, and it can be asked again."""
    monkeypatch.setattr(qdrant_pools, "POOLS", 2)
    open_now: set[int] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        open_now.add(request.transport.get_extra_info("peername")[1])
        return web.json_response({"result": {"collections": []}})

    async with serving(note) as url:
        for identity in ("a", "b", "c", "a"):
            await adapter.collections(Endpoint(url, identity))
    assert len(open_now) == 4


async def test_names_stay_one_segment_of_the_path(adapter: QdrantRest) -> None:
    """Slashes, percent signs, spaces and question marks in names arrive as they were."""
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({"result": {}})

    async with serving(note) as url:
        await adapter.collection(Endpoint(url, "pod"), "a/b%2Fc d?e")
    assert seen == ["/collections/a%2Fb%252Fc%20d%3Fe"]


async def test_the_key_is_sent_and_compression_is_not_asked_for(adapter: QdrantRest) -> None:
    """Qdrant would compress snapshots on the fly, and their length would be lost."""
    seen: list[tuple[str | None, str | None]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.headers.get("api-key"), request.headers.get("accept-encoding")))
        return web.json_response({"result": {"collections": []}})

    async with serving(note) as url:
        await adapter.collections(Endpoint(url, "pod", "secret"))
        await adapter.collections(Endpoint(url, "pod"))
    assert seen == [("secret", "identity"), (None, "identity")]


async def drained(chunks: AsyncIterator[bytes]) -> int:
    """Read to the end; how many bytes came."""
    return sum([len(chunk) async for chunk in chunks])


async def test_a_download_that_ends_early_is_unreachable(adapter: QdrantRest) -> None:
    """A body shorter than its Content-Length never looks like a whole file."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"x" * 500)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(half) as url:
        with pytest.raises(Unreachable):
            await drained(adapter.download_shard_snapshot(Endpoint(url, "pod"), "docs", SHARD, "x"))


async def test_a_download_that_falls_silent_is_unreachable(
    adapter: QdrantRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on each read, not on the whole: a large file may take hours."""
    monkeypatch.setattr(qdrant, "STREAM_READ_SECONDS", 0.2)

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"x" * 500)
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(stall) as url, asyncio.timeout(3):
        with pytest.raises(Unreachable, match="no answer in time"):
            await drained(adapter.download_shard_snapshot(Endpoint(url, "pod"), "docs", SHARD, "x"))


async def test_a_large_download_needs_little_memory(adapter: QdrantRest) -> None:
    """128 MiB pass through while less than 16 MiB are held."""
    size, block = 128 * 2**20, b"x" * 2**18

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = size
        await response.prepare(request)
        for _ in range(size // len(block)):
            await response.write(block)
        return response

    got = 0
    async with serving(large) as url:
        tracemalloc.start()
        async for chunk in adapter.download_shard_snapshot(Endpoint(url, "pod"), "docs", SHARD, "x"):
            got += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert got == size
    assert peak < 16 * 2**20


def recorded(path: str) -> Iterator[dict[str, Any]]:
    """Recorded results of one path."""
    for line in map(json.loads, RECORDING.read_text().splitlines()):
        if line.get("path") == path and line["status"] == 200:
            yield line["answer"]["result"]


@pytest.fixture
def answers() -> tuple[dict[str, Any], dict[str, Any]]:
    """Recorded answers to GET /cluster and GET /telemetry?details_level=3."""
    return next(recorded("/cluster")), next(recorded("/telemetry?details_level=3"))


def test_recorded_answers_become_a_view(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Members, leader, shards, states, local points and bytes of a real peer."""
    view = peer_view(*answers, ready=True)
    assert view.peer == view.leader == 8162269287948802
    assert view.peers[view.peer] == "http://127.0.1.1:6335"
    assert (view.term, view.voter, view.consensus_working, view.version) == (1, True, True, "1.19.0")
    (docs,) = view.collections
    assert (docs.name, docs.shard_number, docs.replication_factor) == ("docs", 4, 2)
    assert [shard.local.points if shard.local else None for shard in docs.shards] == [4687, None, 4584, 4738]
    first = docs.shards[0]
    assert first.local is not None
    assert first.local.bytes == 1199872 + 599936
    assert set(first.states.values()) == {ReplicaState.ACTIVE}


def test_send_failures_name_the_member() -> None:
    """A recorded leader that cannot reach a member says so under the member's URI."""
    failing = [one for one in recorded("/cluster") if one["message_send_failures"]]
    telemetry = next(recorded("/telemetry?details_level=3"))
    view = peer_view(failing[0], telemetry, ready=True)
    assert list(view.send_failures) == ["http://127.0.1.3:6335"]
    assert "transport error" in view.send_failures["http://127.0.1.3:6335"]
    assert view.send_failed_at["http://127.0.1.3:6335"].tzinfo is not None


def test_a_removed_peer_does_not_take_part() -> None:
    """A recorded peer after its removal: consensus stopped, no vote, itself its only member."""
    removed = [
        one for one in recorded("/cluster") if one["consensus_thread_status"].get("last_update") is None
    ]
    telemetry = next(recorded("/telemetry?details_level=3"))
    view = peer_view(removed[-1], telemetry, ready=False)
    assert (view.consensus_working, view.voter, view.leader, list(view.peers)) == (
        False,
        False,
        None,
        [view.peer],
    )


def test_what_a_newer_server_says_is_not_taken_for_sound(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """An unknown replica state is Unknown; a dummy shard has no points; a transfer and a resharding show."""
    cluster, telemetry = answers
    docs = telemetry["collections"]["collections"][0]
    docs["shards"][0]["replicate_states"]["8162269287948802"] = "Levitating"
    docs["shards"][0]["local"] |= {"variant_name": "dummy shard", "num_points": 0}
    docs["transfers"] = [{"shard_id": 0, "from": 1, "to": 2, "sync": True, "method": None, "comment": ""}]
    docs["resharding"] = [{"direction": "up"}]
    (view,) = peer_view(cluster, telemetry, ready=True).collections
    shard = view.shards[0]
    assert ReplicaState.UNKNOWN in shard.states.values()
    assert shard.local is not None
    assert (shard.local.points, shard.local.dummy) == (None, True)
    assert view.transfers == (Transfer(ShardId(0), 1, 2, None),)  # type: ignore[arg-type]
    assert view.resharding
