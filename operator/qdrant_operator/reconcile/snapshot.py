"""The QdrantSnapshot loop: one Job, watched to its end, and the truth about it in status.

A snapshot is made once. A finished one never changes again; a failed one is not repeated: make another.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from qdrant_operator.domain.backups import Phase
from qdrant_operator.domain.conditions import Condition
from qdrant_operator.domain.errors import Refused, Retryable
from qdrant_operator.domain.runs import Result
from qdrant_operator.reconcile.backup_storage import delete_fragments, open_storage
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.snapshot_leave import hold, leave
from qdrant_operator.reconcile.snapshot_outcome import ended, outcome, progress
from qdrant_operator.reconcile.snapshot_start import wanted_job
from qdrant_operator.reconcile.snapshot_subject import Subject, moment, read_subject
from qdrant_operator.reconcile.status import write_status
from qdrant_operator.reconcile.world import Again, World

REFUSED_PATIENCE = timedelta(minutes=10)
"""How long a snapshot waits for somebody to put right what is wrong: long enough to create a forgotten Secret,
short enough that a schedule's next run is not held up for long."""
WAIT_PATIENCE = timedelta(hours=1)
"""How long it waits for what comes by itself: a cluster that is still forming."""
PROGRESS_SECONDS = 5.0
"""Between two looks at a running Job; its journal is written as often."""


class SnapshotReconciler:
    """Takes one pass over one QdrantSnapshot."""

    def __init__(self, world: World) -> None:
        """Keep the world; all state of a snapshot is in Kubernetes and in the storage."""
        self._world = world

    async def reconcile(self, subject: Manifest) -> Again:
        """Start the Job, follow it, or clean up after it."""
        read = read_subject(subject)
        if "deletionTimestamp" in subject["metadata"]:
            return await leave(self._world, read)
        if read.cleans_up and not read.held and read.phase is not Phase.FAILED:
            await hold(self._world, read, held=True)
            return Again(0)
        if read.phase.over:
            return self._remember(read)
        return await self._advance(read)

    async def _advance(self, subject: Subject) -> Again:
        job = self._world.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
        if job is None and subject.phase is Phase.RUNNING:
            job = await self._world.kubernetes.read(Kind.JOB, subject.namespace, subject.job)
            if job is None:
                return await self._end(subject, _orphaned(subject))
        if job is None:
            return await self._start(subject)
        if ended(job):
            return await self._end(subject, await outcome(self._world, subject, job))
        return await self._follow(subject)

    async def _start(self, subject: Subject) -> Again:
        try:
            job = await wanted_job(self._world, subject)
        except Refused as error:
            return await self._wait(subject, error.reason, error.message, REFUSED_PATIENCE)
        except Retryable as error:
            return await self._wait(subject, "ClusterNotReady", str(error), WAIT_PATIENCE)
        try:
            await self._world.kubernetes.create(job)
        except Refused as error:
            # Made before a crash, or by an operator that just lost its lease: it is the same Job.
            if error.reason != "AlreadyExists":
                return await self._wait(subject, error.reason, error.message, REFUSED_PATIENCE)
        self._world.reporter.step(Kind.SNAPSHOT.kind, "CreateJob", "done")
        await self._say(
            subject, "Normal", "SnapshotStarted", f"job {subject.job} saves to {subject.location}"
        )
        return await self._follow(subject)

    async def _follow(self, subject: Subject) -> Again:
        line = await progress(self._world, subject) or subject.status.get("progress")
        facts = {
            "phase": Phase.RUNNING,
            "job": subject.job,
            "location": subject.location,
            "startedAt": subject.status.get("startedAt") or _stamp(self._world),
            "progress": line,
        }
        await self._write(subject, facts, _conditions(False, "Running", line or "the Job is starting"))
        return Again(PROGRESS_SECONDS)

    async def _wait(self, subject: Subject, reason: str, message: str, patience: timedelta) -> Again:
        """Say what is missing; fail when it has been missing for too long."""
        born = moment(subject.manifest["metadata"]["creationTimestamp"])
        if self._world.clock.now() - born > patience:
            return await self._end(subject, Result(reason, message))
        if subject.reason != reason:
            await self._say(subject, "Warning", reason, message)
        facts = {"phase": Phase.PENDING, "message": message}
        await self._write(subject, facts, _conditions(False, reason, message))
        return Again(min(self._world.options.watch_seconds, PROGRESS_SECONDS))

    async def _end(self, subject: Subject, result: Result) -> Again:
        if not result.stored:
            await self._drop_fragments(subject)
        facts = (_stored if result.stored else _failed)(subject, result, _stamp(self._world))
        conditions = _conditions(result.good, result.reason, result.message, over=True)
        done = await self._write(subject, facts, conditions)
        kind, reason = ("Normal", "SnapshotCompleted") if result.good else ("Warning", "SnapshotFailed")
        said = result.message if result.good else f"{result.reason}: {result.message}"
        await self._say(subject, kind, reason, said)
        self._world.reporter.step(Kind.SNAPSHOT.kind, "Snapshot", "done" if result.good else "failed")
        return self._remember(read_subject(done))

    async def _drop_fragments(self, subject: Subject) -> None:
        """Best effort: fragments are no backup, and no reason to hold back the news that there is none."""
        if subject.phase is Phase.PENDING:
            return
        with suppress(Refused, Retryable):
            storage = await open_storage(self._world, subject.namespace, subject.place)
            await delete_fragments(storage, subject.folder, subject.uid)

    def _remember(self, subject: Subject) -> Again:
        """Tell the metrics, also after a restart of the operator."""
        done = subject.status.get("completedAt")
        if subject.phase.good and done:
            self._world.reporter.snapshot(
                subject.namespace,
                subject.cluster,
                completed=moment(done),
                size=int(subject.status.get("bytes") or 0),
            )
        return Again(self._world.options.resync_seconds)

    async def _say(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        await self._world.reporter.event(subject.manifest, kind=kind, reason=reason, message=message)

    async def _write(self, subject: Subject, facts: Manifest, conditions: tuple[Condition, ...]) -> Manifest:
        return await write_status(self._world, Kind.SNAPSHOT, subject.manifest, facts, conditions)


def _orphaned(subject: Subject) -> Result:
    """The Job was deleted by somebody."""
    return Result(
        "JobDeleted",
        f"job {subject.job} was deleted before its end; there is no backup: make another snapshot",
    )


def _stored(subject: Subject, result: Result, now: str) -> dict[str, Any]:
    return {
        "phase": Phase(result.reason),
        "job": subject.job,
        "location": subject.location,
        "startedAt": result.started_at or subject.status.get("startedAt"),
        "completedAt": result.completed_at or now,
        "bytes": result.bytes,
        "points": result.points,
        "collections": [asdict(one) for one in result.collections],
        "missing": [asdict(one) for one in result.missing] or None,
        "message": result.message,
    }


def _failed(subject: Subject, result: Result, now: str) -> dict[str, Any]:
    return {
        "phase": Phase.FAILED,
        "job": subject.status.get("job"),
        "location": subject.status.get("location"),
        "startedAt": subject.status.get("startedAt"),
        "completedAt": now,
        "progress": subject.status.get("progress"),
        "message": result.message,
    }


def _conditions(ready: bool, reason: str, message: str, *, over: bool = False) -> tuple[Condition, ...]:
    """`Ready`: a restore can be made from it. `Failed`: it never will be."""
    return (
        Condition("Ready", ready, reason, message),
        Condition("Failed", over and not ready, reason, message),
    )


def _stamp(world: World) -> str:
    return world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
