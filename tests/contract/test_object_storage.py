"""Object storage: one suite for the fake and for a real S3 server, then what only the real one can show."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from qdrant_operator.adapters import object_storage
from qdrant_operator.adapters.object_storage import S3Storage
from qdrant_operator.domain.backup.retention import MIB, PART_BYTES
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.errors import Refused, Unreachable
from sandbox.s3 import ObjectStore
from tests.fakes.object_storage import FakeStorage


def place(server: ObjectStore, bucket: str) -> S3Place:
    """A bucket on the test's own S3 server."""
    return S3Place(bucket, server.region, "", server.endpoint, "keys")


def keys(server: ObjectStore) -> S3Credentials:
    """The right keys."""
    return S3Credentials(server.access_key, server.secret_key)


def real(server: ObjectStore, bucket: str) -> S3Storage:
    """The adapter, quick to give up."""
    return S3Storage(place(server, bucket), keys(server), patient=False)


@pytest.fixture(params=["fake", "real"])
def storage(request: pytest.FixtureRequest) -> FakeStorage | S3Storage:
    """An empty bucket, in memory and on a real server."""
    if request.param == "fake":
        return FakeStorage()
    return real(request.getfixturevalue("object_store"), request.getfixturevalue("bucket"))


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A stream."""
    for part in parts:
        yield part


async def whole(storage: FakeStorage | S3Storage, key: str) -> bytes:
    """An object, read as a stream."""
    return b"".join([chunk async for chunk in storage.stream(key)])


async def test_small_objects_are_written_over_and_read(storage: FakeStorage | S3Storage) -> None:
    """The last write is read; what never was is None."""
    await storage.probe()
    await storage.write("a/b", b"one")
    await storage.write("a/b", b"two")
    assert (await storage.read("a/b"), await storage.read("a/c")) == (b"two", None)


async def test_new_object_never_replaces_another(storage: FakeStorage | S3Storage) -> None:
    """The second writer of a manifest is refused, and the first one's content stays."""
    await storage.write_new("m.json", b"first")
    with pytest.raises(Refused) as refused:
        await storage.write_new("m.json", b"second")
    assert (refused.value.reason, await storage.read("m.json")) == ("AlreadyExists", b"first")


async def test_listing_sees_one_folder(storage: FakeStorage | S3Storage) -> None:
    """Keys, sizes and times of a folder; a folder whose name begins alike is another."""
    for key in ("x/one", "x/deep/two", "xy/three"):
        await storage.write(key, b"123")
    listed = await storage.list("x/")
    assert sorted((one.key, one.bytes) for one in listed) == [("x/deep/two", 3), ("x/one", 3)]
    assert all(one.modified.tzinfo for one in listed)


async def test_deleting_twice_is_success(storage: FakeStorage | S3Storage) -> None:
    """Several at a time, also such that are gone already, also none."""
    await storage.write("a", b"1")
    await storage.delete(["a", "never"])
    await storage.delete([])
    assert await storage.list("") == ()


@pytest.mark.parametrize("sizes", [(), (10,), (PART_BYTES, 5), (3 * MIB,) * 9])
async def test_stream_arrives_whole(storage: FakeStorage | S3Storage, sizes: tuple[int, ...]) -> None:
    """No byte is lost or added, from an empty file to several parts."""
    content = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    await storage.upload("f", chunks(*content), PART_BYTES)
    assert await whole(storage, "f") == b"".join(content)


async def test_name_with_odd_characters_is_one_object(storage: FakeStorage | S3Storage) -> None:
    """Percent signs and spaces stay as they are."""
    await storage.write("p/a%2Fb c", b"1")
    assert [one.key for one in await storage.list("p/")] == ["p/a%2Fb c"]


async def test_broken_source_stores_nothing(storage: FakeStorage | S3Storage) -> None:
    """The source's own error comes out, and no object is seen."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(PART_BYTES)
        raise Unreachable("the peer is gone")

    with pytest.raises(Unreachable, match="the peer is gone"):
        await storage.upload("f", broken(), PART_BYTES)
    assert await storage.read("f") is None


async def test_missing_object_has_a_name(storage: FakeStorage | S3Storage) -> None:
    """Reading a stream that is not there is refused, not empty."""
    with pytest.raises(Refused) as refused:
        await whole(storage, "nothing")
    assert refused.value.reason == "ObjectNotFound"


async def test_missing_bucket_is_named(object_store: ObjectStore) -> None:
    """Reading, writing and listing all say BucketNotFound and name the bucket."""
    storage = real(object_store, "nowhere")
    for call in (storage.probe(), storage.write("a", b"1"), storage.read("a"), storage.list("a/")):
        with pytest.raises(Refused, match="nowhere") as refused:
            await call
        assert refused.value.reason == "BucketNotFound"


@pytest.mark.parametrize("wrong", [{"secret_key": "wrong"}, {"access_key": "nobody"}])
async def test_wrong_credentials_are_named(
    object_store: ObjectStore, bucket: str, wrong: dict[str, str]
) -> None:
    """A wrong secret and an unknown key both say CredentialsRefused and name the Secret to look at."""
    storage = S3Storage(place(object_store, bucket), replace(keys(object_store), **wrong), patient=False)
    for call in (storage.probe(), storage.write("a", b"1"), storage.upload("b", chunks(b"1"), PART_BYTES)):
        with pytest.raises(Refused, match="'keys'") as refused:
            await call
        assert refused.value.reason == "CredentialsRefused"
        assert object_store.secret_key not in refused.value.message


async def test_unreachable_server_is_told_apart(object_store: ObjectStore) -> None:
    """Nobody listens there: nothing is known, so it is Unreachable and not refused."""
    silent = replace(place(object_store, "any-bucket"), endpoint="http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="any-bucket"):
        await S3Storage(silent, keys(object_store), patient=False).probe()


async def test_stopped_upload_leaves_no_hidden_parts(object_store: ObjectStore, bucket: str) -> None:
    """A run that is stopped aborts its upload: no object, and nothing that would be paid for unseen."""
    storage = real(object_store, bucket)
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield bytes(PART_BYTES)
        sent.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(storage.upload("f", endless(), PART_BYTES))
    waiting = asyncio.create_task(sent.wait())
    await asyncio.wait({upload, waiting}, return_when=asyncio.FIRST_COMPLETED)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    uploads = object_store._request("GET", f"/{bucket}", "uploads=")
    assert b"<UploadId>" not in uploads
    assert await storage.list("") == ()


MEMORY = """
import asyncio, hashlib, os, resource, sys
from qdrant_operator.adapters.object_storage import S3Storage
from qdrant_operator.domain.backup.retention import MIB, part_bytes
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.jobs.backup.copy import Measured

endpoint, access, secret, bucket, mebibytes = sys.argv[1:]
storage = S3Storage(S3Place(bucket, "us-east-1", "", endpoint), S3Credentials(access, secret))
total = int(mebibytes)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def body():
    for number in range(total):
        yield number.to_bytes(2, "big") * (MIB // 2)

async def run():
    sent = Measured(body(), total * MIB)
    await storage.upload("big", sent.chunks(), part_bytes(total * MIB))
    uploaded = peak()
    back = Measured(storage.stream("big"), total * MIB)
    async for _ in back.chunks():
        pass
    assert (back.bytes, back.sha256) == (sent.bytes, sent.sha256), "read back something else"
    return uploaded

before = peak()
uploaded = asyncio.run(run())
print(uploaded - before, peak() - before)
"""


@pytest.mark.timeout(300)
def test_memory_stays_bounded_whatever_the_size(object_store: ObjectStore, bucket: str) -> None:
    """512 MiB go to storage and back, hashed, while the process grows by less than 100 MiB."""
    arguments = [object_store.endpoint, object_store.access_key, object_store.secret_key, bucket, "512"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    uploading, altogether = (int(number) for number in done.stdout.split())
    assert uploading < 100
    assert altogether < 100


async def test_our_own_session_token_is_not_sent_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's keys are not completed from the environment: what belongs to our identity stays with us."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.setenv("AWS_SESSION_TOKEN", "ours")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "our-key")
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    theirs = S3Storage(
        S3Place("backups", "us-east-1", endpoint=endpoint), S3Credentials("their-key", "s"), patient=False
    )
    assert await theirs.read("a") is None
    server.close()
    assert b"Credential=their-key/" in heard[0]
    assert b"ours" not in heard[0]
    assert b"our-key" not in heard[0]


class Endless:
    """An S3 server whose objects and listings never end."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection after the other, as long as somebody reads."""
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                await (self._page if b"list-type" in request else self._object)(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _object(self, writer: asyncio.StreamWriter) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\nlast-modified: Sat, 28 Nov 2026 12:00:00 GMT\r\netag: x\r\n"
            b"content-length: 99999999999\r\n\r\n"
        )
        writer.write(head)
        while True:
            writer.write(bytes(2**20))
            await writer.drain()

    async def _page(self, writer: asyncio.StreamWriter) -> None:
        one = (
            b"<Contents><Key>k</Key><LastModified>2026-11-28T12:00:00.000Z</LastModified><ETag>x</ETag>"
            b"<Size>1</Size></Contents>"
        )
        more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>"
        body = b"<ListBucketResult>" + more + one * 1000 + b"</ListBucketResult>"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()


async def test_answers_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that should be small and a listing: both end with a reason, not with our memory."""
    monkeypatch.setattr(object_storage, "MOST_LISTED", 3000)
    server = await asyncio.start_server(Endless(), "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    storage = S3Storage(
        S3Place("backups", "us-east-1", endpoint=endpoint), S3Credentials("k", "s"), patient=False
    )
    for call in (storage.read("manifest.json"), storage.list("a/")):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.reason == "AnswerTooLarge"
    server.close()
