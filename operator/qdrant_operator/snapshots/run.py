"""One backup from start to end: look, copy every shard, read back, and the manifest last.

A run that does not reach its end leaves no manifest, so its folder is no backup; it deletes what it stored and
what it made on the peers, also when it is stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from qdrant_operator.domain.backups import Source
from qdrant_operator.domain.conditions import timestamp
from qdrant_operator.domain.errors import Refused, Retryable
from qdrant_operator.domain.instruction import Instruction
from qdrant_operator.domain.manifest import BackupManifest, ShardFile, dump_manifest
from qdrant_operator.domain.runs import Result, result_of
from qdrant_operator.domain.storage import MANIFEST
from qdrant_operator.domain.wire import Endpoint
from qdrant_operator.snapshots.copy import Copier
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
        journal = Journal(self.storage, self.instruction)
        try:
            manifest = await self._copied(journal)
        except asyncio.CancelledError:
            await self._leave(journal, _INTERRUPTED)
            raise
        except Exception as error:
            ending = self._leave(journal, _failure(error))
        else:
            ending = self._seal(journal, manifest)
        # Whoever stops the run now comes too late: with its manifest the backup is there.
        return await _to_its_end(ending)

    async def _seal(self, journal: Journal, manifest: BackupManifest) -> Result:
        """The manifest makes a backup of what was copied."""
        try:
            await self.storage.write_new(f"{self.instruction.folder}{MANIFEST}", dump_manifest(manifest))
        except Exception as error:
            return await self._leave(journal, _failure(error))
        return await self._leave(journal, result_of(manifest, verified=self.instruction.verify))

    async def _copied(self, journal: Journal) -> BackupManifest:
        started = _now()
        await self._claim_folder(journal)
        endpoints = self._endpoints()
        await sweep(self.peers, self.storage, self.instruction, endpoints)
        subject = await observe_subject(self.peers, self.instruction, endpoints)
        journal.plan(subject.sources)
        async with journal.beating():
            files = await self._copy_all(subject, endpoints, journal)
            manifest = self._manifest(subject, files, started)
            if self.instruction.verify:
                await self._read_back(manifest)
        return manifest

    async def _claim_folder(self, journal: Journal) -> None:
        """Nothing of somebody else's is overwritten: a folder with a manifest is a backup."""
        if await self.storage.read(f"{self.instruction.folder}{MANIFEST}") is not None:
            raise Refused(
                "LocationOccupied",
                f"{self.instruction.place.url(self.instruction.folder)} holds a backup already: use another"
                " name or prefix, or delete that folder",
            )
        await journal.write()
        await self._clear_folder()

    async def _clear_folder(self) -> None:
        objects = await self.storage.list(self.instruction.folder)
        if not any(one.key.endswith(f"/{MANIFEST}") for one in objects):
            await self.storage.delete([one.key for one in objects])

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
        self, subject: Subject, files: tuple[tuple[str, ShardFile], ...], started: str
    ) -> BackupManifest:
        return BackupManifest(
            namespace=self.instruction.namespace,
            cluster=self.instruction.cluster,
            snapshot=self.instruction.snapshot,
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

    async def _leave(self, journal: Journal, result: Result) -> Result:
        """Take leave: what is no backup is deleted. Best effort: the reason for failing must come out."""
        try:
            if not result.good:
                await self._clear_folder()
            await journal.close(None if result.good else result.message)
        except (Refused, Retryable) as error:
            log.warning("Remains were not deleted", extra={"error": str(error)})
        return result


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
