"""S3 as the `ObjectStorage` port. Errors are `Refused` when a user must act, `Unreachable` when a retry may succeed.

No decisions are made here. An upload holds a few parts in memory, whatever the size of the object. An upload that
fails or is cancelled is aborted, so that no incomplete parts stay in the bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from qdrant_operator.adapters.capped import TooLarge, list_capped, read_capped
from qdrant_operator.adapters.object_storage_errors import ObjectNotFound, translated
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place, StoredObject
from qdrant_operator.domain.common.errors import Refused, Unreachable

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential  # exist for type checkers only

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
"""Longest time without data within one request."""
RETRY_SECONDS = 60.0
"""How long a failed request is retried; obstore waits between the attempts."""
CALL_SECONDS = 30.0
"""Time limit of a small call: listing a page, reading or writing a small object."""
READ_BYTES = 2**20
"""Smallest chunk when an object is read."""
IN_FLIGHT = 2
"""Parts of one upload that are sent concurrently."""
LISTED = 1000
"""Objects per page of a listing: the limit of S3."""
MOST_LISTED = 200_000
"""Most objects that are listed. A backup has one for each shard; an endless listing must not fill the memory."""
SMALL_BYTES = 64 * 2**20
"""Most bytes of an object that is read at once: a manifest has about 400 bytes for each shard."""

T = TypeVar("T")


@contextmanager
def _bounded() -> Iterator[None]:
    """Refuse an answer that exceeds a limit."""
    try:
        yield
    except TooLarge as error:
        raise Refused("AnswerTooLarge", str(error)) from error


class S3Storage:
    """One bucket; implements `reconcile.ports.ObjectStorage` and `snapshots.ports.Storage`."""

    def __init__(self, place: S3Place, credentials: S3Credentials | None, *, patient: bool = True) -> None:
        """Send nothing yet. `patient`: retry failed requests for a minute; otherwise fail within seconds."""
        self._place = place
        self._store = _store(place, credentials, patient=patient)

    async def probe(self) -> None:
        """Check that the bucket exists and allows listing."""

        async def first() -> None:
            async for _ in obstore.list(self._store, self._place.prefix or None, chunk_size=1):
                return

        await self._call("list", first())

    async def read(self, key: str) -> bytes | None:
        """A small object; None when it does not exist, `Refused("AnswerTooLarge")` when it is too large."""

        async def whole() -> bytes:
            result = await obstore.get_async(self._store, key)
            chunks = (bytes(chunk) async for chunk in result.stream(min_chunk_size=READ_BYTES))
            with _bounded():
                return await read_capped(chunks, SMALL_BYTES, self._place.url(key))

        try:
            return await self._call(f"read {key}", whole())
        except ObjectNotFound:
            return None

    async def list(self, prefix: str) -> tuple[StoredObject, ...]:
        """Objects in this folder (with a slash at its end); a listing beyond `MOST_LISTED` is refused."""

        async def every() -> tuple[StoredObject, ...]:
            objects = _objects(obstore.list(self._store, prefix, chunk_size=LISTED))
            with _bounded():
                return await list_capped(objects, MOST_LISTED, self._place.url(prefix))

        return await self._call(f"list {prefix}", every())

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that does not exist counts as deleted."""
        for start in range(0, len(keys), LISTED):
            await self._call("delete", obstore.delete_async(self._store, [*keys[start : start + LISTED]]))

    async def write(self, key: str, content: bytes) -> None:
        """Write a small object; an existing one is replaced."""
        await self._call(f"write {key}", obstore.put_async(self._store, key, content, use_multipart=False))

    async def write_new(self, key: str, content: bytes) -> None:
        """Write a small object; `Refused("AlreadyExists")` when it exists."""
        put = obstore.put_async(self._store, key, content, mode="create")
        try:
            await self._call(f"write {key}", put)
        except AlreadyExistsError as error:
            raise Refused("AlreadyExists", f"{self._place.url(key)} exists already") from error

    async def upload(self, key: str, chunks: AsyncIterator[bytes], part_bytes: int) -> None:
        """Upload an object of any size; memory is limited to a few parts.

        An error that `chunks` raises is raised as it is. The upload is aborted then, and on cancellation.
        """
        source = _Interruptible(chunks)
        put = obstore.put_async(
            self._store,
            key,
            source,
            use_multipart=True,
            chunk_size=part_bytes,
            max_concurrency=IN_FLIGHT,
        )
        upload = asyncio.ensure_future(_awaited(put))
        try:
            await self._translated(f"upload {key}", asyncio.shield(upload))
        except asyncio.CancelledError:
            # Cancelling the future would leave parts in the bucket; when the source ends, obstore aborts the upload.
            await source.end()
            await _settled(upload)
            raise
        finally:
            await source.end()

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in chunks of a few MiB.

        Raises:
            Refused: `ObjectNotFound`.
        """
        try:
            result = await self._call(f"read {key}", obstore.get_async(self._store, key))
        except ObjectNotFound as error:
            raise Refused("ObjectNotFound", f"{self._place.url(key)} does not exist") from error
        chunks = aiter(result.stream(min_chunk_size=READ_BYTES))
        while (chunk := await self._translated(f"read {key}", anext(chunks, None))) is not None:
            yield bytes(chunk)

    async def _call(self, what: str, call: Awaitable[T]) -> T:
        limit = RETRY_SECONDS + CALL_SECONDS
        try:
            return await with_timeout(limit, self._translated(what, call))
        except TimeoutError as error:
            raise Unreachable(
                f"{what} in bucket {self._place.bucket!r}: no answer in {limit:.0f} s"
            ) from error

    async def _translated(self, what: str, call: Awaitable[T]) -> T:
        """Await, and translate the errors of obstore."""
        try:
            return await call
        except AlreadyExistsError:
            raise
        except (BaseError, FileNotFoundError) as error:
            raise translated(self._place, what, error) from error


class _Interruptible:
    """An iterator of chunks that another task can end with an error."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._next: asyncio.Future[bytes] | None = None
        self._ended = False

    async def end(self) -> None:
        """End the iterator; no chunk is read after this returns."""
        self._ended = True
        if self._next and not self._next.done():
            self._next.cancel()
            await _settled(self._next)

    def __aiter__(self) -> _Interruptible:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise InterruptedError("the upload was interrupted")
        self._next = asyncio.ensure_future(_awaited(anext(self._chunks)))
        await asyncio.wait({self._next})
        if self._next.cancelled():
            raise InterruptedError("the upload was interrupted")
        return self._next.result()


async def with_timeout(seconds: float, call: Awaitable[T]) -> T:
    """Await with a time limit; a cancellation is never lost.

    Raises:
        TimeoutError: no answer within `seconds`.
    """
    async with asyncio.timeout(seconds):
        return await call


async def _settled(work: asyncio.Future[Any]) -> None:
    """Wait for the end of work whose result is not needed."""
    await asyncio.wait({work}, timeout=CALL_SECONDS)
    if work.done() and not work.cancelled():
        work.exception()


async def _awaited(call: Awaitable[T]) -> T:
    return await call


async def _objects(pages: AsyncIterable[Sequence[Any]]) -> AsyncIterator[StoredObject]:
    async for page in pages:
        for meta in page:
            yield _stored(meta)


def _stored(meta: Any) -> StoredObject:
    return StoredObject(meta["path"], meta["size"], meta["last_modified"])


def _only(credentials: S3Credentials) -> Callable[[], S3Credential]:
    """Exactly these keys."""
    keys: S3Credential = {
        "access_key_id": credentials.access_key,
        "secret_access_key": credentials.secret_key,
        "token": credentials.session_token,
        "expires_at": None,
    }
    return lambda: keys


def _store(place: S3Place, credentials: S3Credentials | None, *, patient: bool) -> S3Store:
    config: S3Config = {"region": place.region}
    if place.endpoint:
        config["endpoint"] = place.endpoint
    return S3Store(
        place.bucket,
        config=config,
        # obstore completes keys in plain settings from the environment of the operator: a session token that is set
        # there would be sent to the endpoint of the user.
        credential_provider=_only(credentials) if credentials else None,
        client_options={
            "allow_http": (place.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            # In effect no limit for a whole request: a slow link needs long for a large part or a large object.
            "timeout": timedelta(hours=24),
        },
        retry_config={
            "max_retries": 10 if patient else 1,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS if patient else 5.0),
        },
    )
