"""One backup from start to end: look, copy every shard, read back, and the manifest last.

A run that does not reach its end, or saves no collection, leaves no manifest, so its folder is no backup; it deletes
what it stored and what it made on the peers, also when it is stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from qdrant_operator.domain.backup.job_spec import JobSpec
from qdrant_operator.domain.backup.journal import Result, result_of
from qdrant_operator.domain.backup.manifest import BackupManifest, MissingCollection
from qdrant_operator.domain.backup.owner import Owner
from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.jobs.backup.copy import Copier
from qdrant_operator.jobs.backup.folder import Folder
from qdrant_operator.jobs.backup.journal import Journal
from qdrant_operator.jobs.backup.leftovers import sweep
from qdrant_operator.jobs.backup.observe import Lookout
from qdrant_operator.jobs.backup.ports import Peers, Storage
from qdrant_operator.jobs.backup.saver import Failure, Saver
from qdrant_operator.jobs.backup.verify import Finding, verify_files

NAMED = 5
"""Damaged files of a collection that are named."""
REASON_CHARACTERS = 300
"""Of a missing collection's reason, which has to fit a termination message."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One run and the world it has."""

    job_spec: JobSpec
    peers: Peers
    storage: Storage
    api_key: str | None = field(repr=False)

    async def make(self) -> Result:
        """Make the backup, or leave nothing behind and say why there is none."""
        journal, folder = Journal(self.storage, self.job_spec), Folder(self.storage, self.job_spec)
        try:
            manifest = await self._copied(journal, folder)
        except asyncio.CancelledError:
            await self._leave(journal, folder, _INTERRUPTED)
            raise
        except Exception as error:
            ending = self._leave(journal, folder, _failure(error))
        else:
            ending = self._seal(journal, folder, manifest)
        # A signal to stop comes too late now: with its manifest the backup is complete.
        return await _to_its_end(ending)

    async def _seal(self, journal: Journal, folder: Folder, manifest: BackupManifest) -> Result:
        """The manifest makes a backup of what was copied."""
        try:
            await folder.seal(manifest)
        except Retryable as error:
            # The manifest may have arrived: its files stay, and the operator decides when the Job ends.
            await self._close(journal, str(error))
            return _failure(error)
        except Exception as error:
            return await self._leave(journal, folder, _failure(error))
        return await self._leave(journal, folder, result_of(manifest, verified=self.job_spec.verify))

    async def _copied(self, journal: Journal, folder: Folder) -> BackupManifest:
        started = _now()
        await folder.claim()
        await journal.write()
        endpoints = {peer.pod: Endpoint(peer.url, peer.pod, self.api_key) for peer in self.job_spec.peers}
        await sweep(self.peers, self.storage, self.job_spec, endpoints)
        lookout = Lookout(self.peers, endpoints)
        copier = Copier(self.peers, self.storage, journal, folder.path, lookout)
        saver = Saver(self.job_spec, self.peers, endpoints, lookout, copier, journal)
        async with journal.beating():
            await saver.save()
            return await self._whole(saver, folder, started)

    async def _whole(self, saver: Saver, folder: Folder, started: str) -> BackupManifest:
        """The manifest of what can be restored; what cannot is named in it, and its files are deleted."""
        manifest = self._manifest(saver, folder.owner, started)
        if self.job_spec.verify:
            for name, findings in _by_collection(
                await verify_files(self.storage, folder.path, manifest)
            ).items():
                saver.failed[name] = Refused(
                    "ChecksumMismatch", f"what is stored is not what was sent: {findings}"
                )
            manifest = self._manifest(saver, folder.owner, started)
        if not manifest.collections:
            raise _of_all(saver.failed)
        if manifest.missing:
            await folder.keep_only(manifest)
        return manifest

    def _manifest(self, saver: Saver, owner: Owner, started: str) -> BackupManifest:
        return BackupManifest(
            namespace=self.job_spec.namespace,
            cluster=self.job_spec.cluster,
            snapshot=self.job_spec.snapshot,
            owner=owner,
            qdrant_version=saver.version,
            started_at=started,
            completed_at=_now(),
            collections=saver.collections(),
            missing=tuple(_missing(name, why) for name, why in sorted(saver.failed.items())),
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


def _by_collection(findings: tuple[Finding, ...]) -> dict[str, str]:
    names = sorted({finding.collection for finding in findings})
    return {
        name: "; ".join([str(finding) for finding in findings if finding.collection == name][:NAMED])
        for name in names
    }


def _missing(name: str, why: Failure) -> MissingCollection:
    return MissingCollection(name, _failure(why).reason, str(why)[:REASON_CHARACTERS])


def _of_all(failed: Mapping[str, Failure]) -> Failure:
    """Why there is no backup at all."""
    why = next(iter(failed.values()))
    if len(failed) == 1:
        return why
    message = f"none of {len(failed)} collections was saved; {next(iter(failed))!r}: {why}"
    return Refused(why.reason, message) if isinstance(why, Refused) else Unreachable(message)


def _failure(error: Exception) -> Result:
    if isinstance(error, Refused):
        return Result(error.reason, str(error))
    if isinstance(error, Retryable):
        return Result("Unreachable", str(error))
    log.error("Snapshot failed", exc_info=error)
    return Result("InternalError", f"{type(error).__name__}: {error}; the pod's log has the details")


async def _to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Await to the end: a cancellation in the meantime is ignored."""
    work = asyncio.create_task(call)
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    return work.result()


def _now() -> str:
    return timestamp(datetime.now(UTC))
