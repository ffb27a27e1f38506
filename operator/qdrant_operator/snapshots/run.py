"""One backup from start to end: look, copy every shard, read back, and the manifest last.

A run that does not reach its end leaves no manifest, so its folder is no backup; it deletes what it stored and
what it made on the peers, also when it is stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from qdrant_operator.domain.backup_owner import Owner
from qdrant_operator.domain.backups import Source
from qdrant_operator.domain.conditions import timestamp
from qdrant_operator.domain.errors import Refused, Retryable
from qdrant_operator.domain.instruction import Instruction
from qdrant_operator.domain.manifest import BackupManifest, ShardFile
from qdrant_operator.domain.runs import Result, result_of
from qdrant_operator.domain.wire import Endpoint
from qdrant_operator.snapshots.copy import Copier
from qdrant_operator.snapshots.folder import Folder
from qdrant_operator.snapshots.journal import Journal
from qdrant_operator.snapshots.leftovers import sweep
from qdrant_operator.snapshots.observe import Subject, collection_backup, observe_subject
from qdrant_operator.snapshots.ports import Peers, Storage
from qdrant_operator.snapshots.verify import verify_files

PEERS_AT_A_TIME = 3
"""Peers that make and send files at the same moment; each makes one at a time, because making one costs it
disk and delays its optimizers."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One run and the world it has."""

    instruction: Instruction
    peers: Peers
    storage: Storage
    api_key: str | None

    async def make(self) -> Result:
        """Make the backup, or leave nothing behind and say why there is none."""
        journal, folder = Journal(self.storage, self.instruction), Folder(self.storage, self.instruction)
        try:
            manifest = await self._copied(journal, folder)
        except asyncio.CancelledError:
            await self._leave(journal, folder, _INTERRUPTED)
            raise
        except Exception as error:
            ending = self._leave(journal, folder, _failure(error))
        else:
            ending = self._seal(journal, folder, manifest)
        # Whoever stops the run now comes too late: with its manifest the backup is there.
        return await _to_its_end(ending)

    async def _seal(self, journal: Journal, folder: Folder, manifest: BackupManifest) -> Result:
        """The manifest makes a backup of what was copied."""
        try:
            await folder.seal(manifest)
        except Retryable as error:
            # The manifest may have arrived: its files stay, and the operator looks after the end of the Job.
            await self._close(journal, str(error))
            return _failure(error)
        except Exception as error:
            return await self._leave(journal, folder, _failure(error))
        return await self._leave(journal, folder, result_of(manifest, verified=self.instruction.verify))

    async def _copied(self, journal: Journal, folder: Folder) -> BackupManifest:
        started = _now()
        await folder.claim()
        await journal.write()
        endpoints = self._endpoints()
        await sweep(self.peers, self.storage, self.instruction, endpoints)
        subject = await observe_subject(self.peers, self.instruction, endpoints)
        journal.plan(subject.sources)
        async with journal.beating():
            files = await self._copy_all(subject, endpoints, journal)
            manifest = self._manifest(subject, files, folder.owner, started)
            if self.instruction.verify:
                await self._read_back(manifest)
        return manifest

    def _endpoints(self) -> dict[str, Endpoint]:
        return {peer.pod: Endpoint(peer.url, peer.pod, self.api_key) for peer in self.instruction.peers}

    async def _copy_all(
        self, subject: Subject, endpoints: dict[str, Endpoint], journal: Journal
    ) -> tuple[tuple[str, ShardFile], ...]:
        """Every shard, by peer: a few peers side by side, one shard after the other on each."""
        copier = Copier(self.peers, self.storage, journal, self.instruction.folder)
        room = asyncio.Semaphore(PEERS_AT_A_TIME)

        async def from_peer(pod: str, sources: list[Source]) -> list[tuple[str, ShardFile]]:
            async with room:
                return [(one.collection, await copier.copy(one, pod, endpoints[pod])) for one in sources]

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(from_peer(*work)) for work in _by_pod(subject).items()]
        except ExceptionGroup as several:
            raise _first(several) from several
        return tuple(file for task in tasks for file in task.result())

    def _manifest(
        self, subject: Subject, files: tuple[tuple[str, ShardFile], ...], owner: Owner, started: str
    ) -> BackupManifest:
        return BackupManifest(
            namespace=self.instruction.namespace,
            cluster=self.instruction.cluster,
            snapshot=self.instruction.snapshot,
            owner=owner,
            qdrant_version=subject.version,
            started_at=started,
            completed_at=_now(),
            collections=tuple(
                collection_backup(subject, name, [file for owner, file in files if owner == name])
                for name in sorted(subject.descriptions)
            ),
        )

    async def _read_back(self, manifest: BackupManifest) -> None:
        findings = await verify_files(self.storage, self.instruction.folder, manifest)
        if findings:
            raise Refused(
                "ChecksumMismatch",
                f"{len(findings)} of {manifest.shards} stored files are not what was sent:"
                f" {'; '.join(str(finding) for finding in findings[:5])}",
            )

    async def _leave(self, journal: Journal, folder: Folder, result: Result) -> Result:
        """Take leave: what is no backup is deleted. Best effort: the reason for failing must come out."""
        if not result.good:
            with _logged("Remains were not deleted"):
                await folder.clear()
        if folder.claimed:
            await self._close(journal, None if result.good else result.message)
        return result

    async def _close(self, journal: Journal, error: str | None) -> None:
        with _logged("The journal was not closed"):
            await journal.close(error)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Best effort: what fails here is logged only."""
    try:
        yield
    except (Refused, Retryable) as error:
        log.warning(what, extra={"error": str(error)})


_INTERRUPTED = Result("Interrupted", "the run was stopped before its end; nothing was kept")


def interrupted() -> Result:
    """The result of a run that was stopped."""
    return _INTERRUPTED


def _failure(error: Exception) -> Result:
    if isinstance(error, Refused):
        return Result(error.reason, str(error))
    if isinstance(error, Retryable):
        return Result("Unreachable", str(error))
    log.error("Snapshot failed", exc_info=error)
    return Result("InternalError", f"{type(error).__name__}: {error}; the pod's log has the details")


async def _to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Await, whoever asks us to stop meanwhile."""
    work = asyncio.create_task(call)
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    return work.result()


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """The first of several errors; the others are mostly its echoes."""
    error = several.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _by_pod(subject: Subject) -> dict[str, list[Source]]:
    work: dict[str, list[Source]] = defaultdict(list)
    for source in subject.sources:
        work[subject.pods[int(source.peer)]].append(source)
    return work


def _now() -> str:
    return timestamp(datetime.now(UTC))
