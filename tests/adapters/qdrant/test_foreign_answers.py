"""Answers that are not Qdrant's: endless, compressed, nested without end; and requests that HTTP cannot carry."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from qdrant_operator.adapters.capped import MIB, TooLarge, list_capped, read_capped
from qdrant_operator.adapters.qdrant import http as qdrant_http
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.views import ShardId
from tests.adapters.qdrant.test_rest import drained, saying, serving

KEY = "s3cret-of-the-cluster"
BOMB = gzip.compress(b'{"result": {"collections": []}, "x": "' + b" " * (64 * MIB) + b'"}')


@pytest.fixture
async def adapter() -> AsyncIterator[QdrantRest]:
    """The adapter under test."""
    made = QdrantRest(lambda *_: None)
    yield made
    await made.close()


async def endless(request: web.Request) -> web.StreamResponse:
    """A line that never ends."""
    response = web.StreamResponse(status=500 if "snapshots" in request.path else 200)
    await response.prepare(request)
    while True:
        await response.write(b"x" * 2**16)


async def test_an_endless_answer_ends_at_the_limit(
    adapter: QdrantRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither waits for the time limit nor fills the memory that all clusters share."""
    monkeypatch.setattr(qdrant_http, "ANSWER_BYTES", 2 * MIB)
    async with serving(endless) as url:
        with pytest.raises(
            Unreachable, match=r"GET http.*/collections: the answer exceeds the limit of 2 MiB"
        ):
            await adapter.collections(Endpoint(url, "pod"))


async def test_an_endless_error_of_a_download_ends_at_the_limit(adapter: QdrantRest) -> None:
    """A download has no time limit as a whole: its errors have a size."""
    async with serving(endless) as url:
        with pytest.raises(Unreachable, match="exceeds the limit of 65536 bytes"):
            await drained(adapter.download_shard_snapshot(Endpoint(url, "pod"), "docs", ShardId(0), "x"))


async def test_a_compressed_answer_is_not_unpacked(adapter: QdrantRest) -> None:
    """66 KB on the wire, 64 MiB in memory: nobody asked for compression, so it is refused."""

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})

    tracemalloc.start()
    async with serving(bomb) as url:
        with pytest.raises(Unreachable, match="it is compressed"):
            await adapter.collections(Endpoint(url, "pod"))
        with pytest.raises(Unreachable, match="it is compressed"):
            await drained(adapter.download_shard_snapshot(Endpoint(url, "pod"), "docs", ShardId(0), "x"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 100_000,
        '{"result": ' + "[" * 100_000,
        '{"result": {"collections": ' + "[" * 900 + "]" * 900 + "}}",
    ],
)
async def test_answers_nested_without_end_are_unusable(adapter: QdrantRest, answer: str) -> None:
    """Python's parser gives up with an error of its own."""
    async with serving(saying(200, text=answer)) as url:
        with pytest.raises(Unreachable, match="unusable"):
            await adapter.collections(Endpoint(url, "pod"))


async def test_an_unknown_character_set_is_no_reason_to_fail(adapter: QdrantRest) -> None:
    """JSON is UTF-8, whatever a header says."""

    async def odd(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json; charset=klingon"}
        return web.Response(body=b'{"result": {"collections": []}}', headers=headers)

    async with serving(odd) as url:
        assert await adapter.collections(Endpoint(url, "pod")) == ()


async def test_a_long_error_of_qdrant_is_cut(adapter: QdrantRest) -> None:
    """It ends in a condition, and Kubernetes takes no status of megabytes."""
    async with serving(saying(400, {"status": {"error": "because " * 100_000}})) as url:
        with pytest.raises(Refused) as refused:
            await adapter.collections(Endpoint(url, "pod"))
    assert len(refused.value.message) <= 2000


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r\nx-evil: 1", f"{KEY}\x00"])
async def test_a_key_that_no_header_carries_is_refused_in_words_and_without_the_key(
    adapter: QdrantRest, key: str
) -> None:
    """The whole look would die of a ValueError otherwise, and status would go on saying what was true before."""
    async with serving(saying(200, {"result": {"collections": []}})) as url:
        with pytest.raises(Refused, match=r"cannot be sent.*API key") as refused:
            await adapter.collections(Endpoint(url, "pod", key))
    assert refused.value.reason == "BadRequest"
    assert KEY not in str(refused.value)


async def test_an_address_that_is_none_is_refused_in_words(adapter: QdrantRest) -> None:
    """As an address of IPv6 without brackets was."""
    with pytest.raises(Refused, match="cannot be sent"):
        await adapter.collections(Endpoint("http://2600:1f16:dcd:8a04::5:6333", "pod"))


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_collection_named_as_a_directory_is_never_asked_for(adapter: QdrantRest, name: str) -> None:
    """`DELETE /collections/..` is another path once somebody on the way has resolved it."""
    with pytest.raises(Refused, match="is not possible in a URL"):
        await adapter.delete_collection(Endpoint("http://127.0.0.1:9", "pod"), name)


async def chunks(*several: bytes) -> AsyncIterator[bytes]:
    """These, one after the other."""
    for one in several:
        yield one


async def test_the_limit_itself_is_still_read() -> None:
    """And one byte, or one entry, more is not."""
    assert await read_capped(chunks(b"ab", b"cd"), 4, "peer") == b"abcd"
    assert await list_capped(chunks(b"a", b"b"), 2, "store") == (b"a", b"b")
    with pytest.raises(TooLarge, match="peer: the answer exceeds the limit of 3 bytes"):
        await read_capped(chunks(b"ab", b"cd"), 3, "peer")
    with pytest.raises(TooLarge, match="store: the answer exceeds the limit of 1 entries"):
        await list_capped(chunks(b"a", b"b"), 1, "store")
