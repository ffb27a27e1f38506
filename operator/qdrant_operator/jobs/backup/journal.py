"""The journal of a running snapshot: how far it is, and which files it owes to be deleted on the peers.

Written at every promise (before a peer is asked for a file) and every few seconds. When it cannot be written,
no new file is asked for; a progress line that is lost is only that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from qdrant_operator.domain.backup.job_spec import JobSpec
from qdrant_operator.domain.backup.journal import JournalDocument, LocalFile, dump_journal
from qdrant_operator.domain.backup.retention import progress_line
from qdrant_operator.domain.backup.sources import Source
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.jobs.backup.ports import Storage

BEAT_SECONDS = 5.0
"""Between two writes of the progress. An interrupted run is known by a journal that has not moved for long."""

log = logging.getLogger(__name__)


class JournalLost(Retryable):
    """The storage does not take the journal: nothing can be stored there, whatever the collection."""


class Journal:
    """The journal of one run."""

    def __init__(self, storage: Storage, job_spec: JobSpec) -> None:
        """Nothing is written before the first promise or beat."""
        self._storage = storage
        self._job_spec = job_spec
        self._writing = asyncio.Lock()
        self._files: dict[str, LocalFile] = {}
        self._expected: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._done: set[str] = set()
        self._error: str | None = None

    def expect(self, shards: Mapping[str, int]) -> None:
        """What the run is going to save: label of a shard → its bytes as far as they are known."""
        self._expected = {**shards, **self._made}

    async def promise(self, source: Source, pod: str, before: tuple[str, ...]) -> None:
        """Say that a peer is about to be asked for a file; on return it is written.

        Raises:
            JournalLost: it could not be written, so the peer must not be asked.
        """
        asked = datetime.now(UTC)
        self._files[source.label] = LocalFile(
            pod, source.collection, int(source.shard), asked.isoformat(), before
        )
        try:
            await self.write()
        except Retryable as error:
            raise JournalLost(str(error)) from error

    def promised(self, source: Source) -> LocalFile | None:
        """The file of this shard that is still to be deleted on its peer."""
        return self._files.get(source.label)

    def made(self, source: Source, name: str, size: int) -> None:
        """The peer made the file."""
        self._files[source.label] = replace(self._files[source.label], name=name)
        self._made[source.label] = self._expected[source.label] = size

    def kept(self, source: Source) -> None:
        """Nothing is left on the peer."""
        self._files.pop(source.label, None)

    def sent(self, source: Source, size: int) -> None:
        """So many bytes of the shard were sent to storage."""
        self._sent[source.label] = size

    def saved(self, source: Source) -> None:
        """The shard is in storage."""
        self._done.add(source.label)

    @property
    def progress(self) -> str:
        """One line for status."""
        sent, expected = sum(self._sent.values()), sum(self._expected.values())
        return progress_line(len(self._done), len(self._expected), sent, expected)

    async def write(self) -> None:
        """Store the journal as it is now."""
        async with self._writing:
            document = JournalDocument(
                self._job_spec.snapshot,
                self._job_spec.cluster_uid,
                self.progress,
                self._error,
                tuple(self._files.values()),
            )
            await self._storage.write(self._job_spec.journal, dump_journal(document))

    async def close(self, error: str | None) -> None:
        """Remove the journal after a success; after a failure leave it with the reason and the open promises."""
        self._error = error
        if error is None and not self._files:
            await self._storage.delete([self._job_spec.journal])
        else:
            await self.write()

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Write the progress every few seconds while the body runs."""
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beat.cancel()
            # Not `await beat`: its cancellation and that of this task raise the same error.
            await asyncio.wait({beat})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            log.info("Snapshot progressed", extra={"progress": self.progress})
            try:
                await self.write()
            except (Retryable, Refused) as error:
                log.warning("Progress was not written", extra={"error": str(error)})
