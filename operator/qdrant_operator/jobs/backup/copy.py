"""One shard from its peer to storage: make, stream with its SHA-256, compare, and delete the local file.

The local file is deleted whatever happens: success, failure, cancellation. Memory is a few buffers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from qdrant_operator.domain.backup.manifest import ShardFile
from qdrant_operator.domain.backup.retention import part_bytes
from qdrant_operator.domain.backup.sources import Source
from qdrant_operator.domain.backup.storage import shard_file
from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint, ShardSnapshot
from qdrant_operator.jobs.backup import observe
from qdrant_operator.jobs.backup.journal import Journal
from qdrant_operator.jobs.backup.leftovers import remove_local
from qdrant_operator.jobs.backup.ports import Peers, Storage

ATTEMPTS = 3
"""Uploads of one file before the snapshot fails: a dropped connection must not cost hours of others' work."""
RETRY_SECONDS = 2.0
SETTLE_SECONDS = 30.0
"""How long a stopped run waits for a file that is being made, so that it can be deleted."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Copier:
    """Copies shards of one run into its folder."""

    peers: Peers
    storage: Storage
    journal: Journal
    folder: str
    lookout: observe.Lookout

    async def copy(self, source: Source, pod: str, endpoint: Endpoint) -> ShardFile:
        """Save one shard from a source that is sound before and after its file is made.

        Raises:
            Refused: Qdrant refused, `ShardNotSound`, or `ChecksumMismatch` naming collection, shard and file.
            JournalLost: the storage does not take the journal; the peer was not asked.
            Retryable: the peer or the storage did not answer, several times.
        """
        await self.lookout.expect_sound(source)
        there = await self.peers.shard_snapshots(endpoint, source.collection, source.shard)
        before = tuple(snapshot.name for snapshot in there)
        await self.journal.promise(source, pod, before)
        try:
            made = await self._make(source, endpoint)
            # The file is what it is from now on: what becomes of the replica later does not matter.
            await self.lookout.confirm_sound(source)
            return await self._save(source, pod, endpoint, made)
        finally:
            await self._forget(source, endpoint)

    async def _make(self, source: Source, endpoint: Endpoint) -> ShardSnapshot:
        call = asyncio.ensure_future(self._asked(source, endpoint))
        refuted: str | None = None
        try:
            while not (await asyncio.wait({call}, timeout=observe.WATCH_SECONDS))[0]:
                refuted = refuted or await self.lookout.refuted(source)
        except asyncio.CancelledError:
            # Qdrant finishes the file whether we listen or not: wait a little, so that it can be deleted.
            await asyncio.wait({call}, timeout=SETTLE_SECONDS)
            call.cancel()
            raise
        made = call.result()
        if refuted is not None:
            raise Refused("ShardNotSound", refuted)
        return made

    async def _asked(self, source: Source, endpoint: Endpoint) -> ShardSnapshot:
        try:
            made = await self.peers.create_shard_snapshot(endpoint, source.collection, source.shard)
        except Refused:
            self.journal.kept(source)
            raise
        self.journal.made(source, made.name, made.bytes)
        return made

    async def _forget(self, source: Source, endpoint: Endpoint) -> None:
        """Delete the local file; what cannot be deleted now stays in the journal for the next run."""
        file = self.journal.promised(source)
        if file and await remove_local(self.peers, endpoint, file) and file.name:
            self.journal.kept(source)

    async def _save(self, source: Source, pod: str, endpoint: Endpoint, made: ShardSnapshot) -> ShardFile:
        file = shard_file(source.collection, int(source.shard))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                digest = await self._upload(source, endpoint, made, file)
                break
            except (Retryable, Refused) as error:
                if attempt == ATTEMPTS or not _worth_repeating(error):
                    raise
                log.warning(
                    "Upload repeated", extra={"shard": source.label, "attempt": attempt, "error": str(error)}
                )
                await asyncio.sleep(RETRY_SECONDS)
        self.journal.saved(source)
        log.info("Shard saved", extra={"shard": source.label, "pod": pod, "bytes": made.bytes})
        return _shard_file(source, pod, file, made.bytes, digest)

    async def _upload(self, source: Source, endpoint: Endpoint, made: ShardSnapshot, file: str) -> str:
        """Stream the file to storage and give its SHA-256, which must be Qdrant's."""
        body = self.peers.download_shard_snapshot(endpoint, source.collection, source.shard, made.name)
        measured = Measured(body, made.bytes, lambda size: self.journal.sent(source, size))
        async with aclosing(measured.chunks()) as chunks:
            await self.storage.upload(f"{self.folder}{file}", chunks, part_bytes(made.bytes))
        wrong = difference(measured, made.bytes, made.sha256)
        if wrong:
            raise Refused(
                "ChecksumMismatch",
                f"collection {source.collection!r}, shard {source.shard}, file {file}: {wrong};"
                " the file changed while it was downloaded from the peer",
            )
        return measured.sha256


class Measured:
    """A stream that counts and hashes what passes."""

    def __init__(
        self, body: AsyncIterator[bytes], limit: int, report: Callable[[int], None] = lambda _: None
    ) -> None:
        """What comes after `limit` bytes is not read; `report` gets the bytes so far after every chunk."""
        self._body = body
        self._limit = limit
        self._report = report
        self._sum = hashlib.sha256()
        self.bytes = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The stream itself. Closing it closes the body and its connection."""
        try:
            async for chunk in self._body:
                self._sum.update(chunk)
                self.bytes += len(chunk)
                self._report(self.bytes)
                yield chunk
                if self.bytes > self._limit:
                    break
        finally:
            if isinstance(self._body, AsyncGenerator):
                await self._body.aclose()

    @property
    def sha256(self) -> str:
        """Hex digest of what passed."""
        return self._sum.hexdigest()


def difference(measured: Measured, size: int, sha256: str | None) -> str | None:
    """What differs from what was announced, in words; None when nothing does."""
    if measured.bytes > size:
        return f"more than {size} bytes"
    if measured.bytes != size:
        return f"{measured.bytes} bytes instead of {size}"
    if sha256 is not None and measured.sha256 != sha256:
        return f"SHA-256 is {measured.sha256}, should be {sha256}"
    return None


def _worth_repeating(error: Exception) -> bool:
    return not isinstance(error, Refused) or error.reason == "ChecksumMismatch"


def _shard_file(source: Source, pod: str, file: str, size: int, digest: str) -> ShardFile:
    return ShardFile(
        shard=int(source.shard),
        key=source.key,
        file=file,
        bytes=size,
        sha256=digest,
        points=source.points,
        peer=int(source.peer),
        pod=pod,
        taken_at=timestamp(datetime.now(UTC)),
    )
