"""The QdrantSnapshot loop: one Job, watched to its end, and the truth about it in status.

A snapshot is made once. A finished one never changes again; a failed one is not repeated: make another.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta

from qdrant_operator.api import SnapshotCollection, SnapshotMissing, SnapshotPhase, SnapshotStatus
from qdrant_operator.domain.backup.journal import Result
from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.reconcile.backup.snapshot.deletion import leave
from qdrant_operator.reconcile.backup.snapshot.outcome import (
    ended,
    outcome,
    own_state,
    progress,
    run_ended,
    run_pod,
)
from qdrant_operator.reconcile.backup.snapshot.refused import REFUSED_PATIENCE, refuse
from qdrant_operator.reconcile.backup.snapshot.start import not_started, start_trouble, wanted_job
from qdrant_operator.reconcile.backup.snapshot.subject import Subject, moment, read_subject
from qdrant_operator.reconcile.backup.storage import delete_fragments, open_storage
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.events import warn_once
from qdrant_operator.reconcile.finalizers import add_finalizer, remove_finalizer
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.report import write_status

WAIT_PATIENCE = timedelta(hours=1)
"""How long it waits for what comes by itself: a cluster that is still forming."""
WHOLE_PATIENCE = timedelta(hours=2)
"""How long it waits in all, whatever the reasons."""
START_PATIENCE = timedelta(minutes=15)
"""How long a Job's pod may take to start: a new node and a large image fit in."""
OVERDUE = timedelta(minutes=10)
"""How long after its deadline a Job is awaited: its controller waits for the pod, which may be on a dead node."""
END_PATIENCE = timedelta(minutes=1)
"""How long the Job of a snapshot that is over may take to end by itself."""
ORIGIN = ("clusterUid", "scheduleUid", "retention")
"""Fields of status that stay for good: whose data it holds, who made it, and that retention is done with it."""
PROGRESS_SECONDS = 5.0
"""Between two looks at a running Job; its journal is written as often."""


class SnapshotReconciler:
    """Takes one pass over one QdrantSnapshot."""

    def __init__(self, context: Context) -> None:
        """Keep the world; all state of a snapshot is in Kubernetes and in the storage."""
        self._context = context

    async def reconcile(self, subject: Manifest) -> Requeue:
        """Start the Job, follow it, or clean up after it."""
        try:
            read = read_subject(subject)
        except Refused as error:
            return await refuse(self._context, subject, error)
        return await self._pass(read)

    async def _pass(self, read: Subject) -> Requeue:
        if "deletionTimestamp" in read.manifest["metadata"]:
            return await leave(self._context, read)
        if read.held is not read.cleans_up and (read.held or read.phase is not Phase.FAILED):
            change = add_finalizer if read.cleans_up else remove_finalizer
            await change(self._context, Kind.SNAPSHOT, read.manifest)
            return Requeue(0)
        if read.phase.over:
            return await self._rest(read)
        return await self._advance(read)

    async def _advance(self, subject: Subject) -> Requeue:
        job = self._context.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
        if job is None and subject.phase is Phase.RUNNING:
            job = await self._context.kubernetes.read(Kind.JOB, subject.namespace, subject.job)
            if job is None:
                return await self._end(subject, _orphaned(subject))
        if job is None:
            return await self._start(subject)
        return await self._watch(subject, job)

    async def _watch(self, subject: Subject, job: Manifest) -> Requeue:
        """A Job that is there: over, too late, not started, or under way."""
        pod = run_pod(self._context, subject, job)
        late = self._age(job) > timedelta(seconds=subject.spec.job.active_deadline_seconds) + OVERDUE
        if run_ended(job, pod) or late:
            return await self._end(subject, await outcome(self._context, subject, job, overdue=late))
        if subject.status.started_at or (pod is not None and own_state(pod).get("running") is not None):
            return await self._follow(subject)
        return await self._await_start(subject, job, pod)

    async def _await_start(self, subject: Subject, job: Manifest, pod: Manifest | None) -> Requeue:
        """Say what holds the pod back; a run that does not start for too long is ended, with the reason in status."""
        given_up = self._age(job) > START_PATIENCE
        trouble = await start_trouble(self._context, job, pod)
        if trouble is None and not given_up:
            return await self._report(subject, "Running", "the Job is starting")
        why = not_started(subject, job, trouble)
        again = await self._report(subject, why.reason, why.message)
        if not given_up:
            return again
        await self._stop(subject, job)
        done = self._context.kubernetes.cached_one(Kind.SNAPSHOT, subject.namespace, subject.name)
        return await self._end(read_subject(done), why) if done else again

    async def _start(self, subject: Subject) -> Requeue:
        try:
            job, cluster_uid = await wanted_job(self._context, subject)
        except Refused as error:
            return await self._wait(subject, error.reason, error.message, REFUSED_PATIENCE)
        except Retryable as error:
            return await self._wait(subject, "ClusterNotReady", str(error), WAIT_PATIENCE)
        if subject.cluster_uid != cluster_uid:
            return await self._record_cluster(subject, cluster_uid)
        try:
            await self._context.kubernetes.create(job)
        except Refused as error:
            # Made before a crash, or by an operator that just lost its lease: it is the same Job.
            if error.reason != "AlreadyExists":
                return await self._wait(subject, error.reason, error.message, REFUSED_PATIENCE)
        self._context.reporter.step(Kind.SNAPSHOT.kind, "CreateJob", "done")
        await self._say(
            subject, "Normal", "SnapshotStarted", f"job {subject.job} saves to {subject.location}"
        )
        return await self._report(subject, "Running", "the Job is starting")

    async def _record_cluster(self, subject: Subject, uid: str) -> Requeue:
        """Before anything is saved: which cluster's data it is decides later about its deletion."""
        facts = SnapshotStatus(phase=SnapshotPhase.PENDING, cluster_uid=uid)
        await self._write(subject, facts, _conditions(False, "Running", "the Job is about to be made"))
        return Requeue(0)

    async def _follow(self, subject: Subject) -> Requeue:
        line = await progress(self._context, subject) or subject.status.progress
        began = subject.status.started_at or self._context.clock.now()
        return await self._report(subject, "Running", line or "the run began", began=began, progress=line)

    async def _report(
        self,
        subject: Subject,
        reason: str,
        message: str,
        *,
        began: datetime | None = None,
        progress: str | None = None,
    ) -> Requeue:
        """The Job is there, and so far there is no backup."""
        if reason != "Running":
            await warn_once(self._context, Kind.SNAPSHOT, subject.manifest, reason, message)
        facts = SnapshotStatus(
            phase=SnapshotPhase.RUNNING,
            job=subject.job,
            location=subject.location,
            started_at=began,
            progress=progress,
        )
        await self._write(subject, facts, _conditions(False, reason, message))
        return Requeue(PROGRESS_SECONDS)

    async def _wait(self, subject: Subject, reason: str, message: str, patience: timedelta) -> Requeue:
        """Say what is missing; fail when it has been missing for too long."""
        now, known = self._context.clock.now(), subject.status.waiting_since
        since = known if known and subject.reason == reason else now
        born = moment(subject.manifest["metadata"]["creationTimestamp"])
        if now - since > patience or now - born > WHOLE_PATIENCE:
            return await self._end(subject, Result(reason, message))
        await warn_once(self._context, Kind.SNAPSHOT, subject.manifest, reason, message)
        facts = SnapshotStatus(phase=SnapshotPhase.PENDING, message=message, waiting_since=since)
        await self._write(subject, facts, _conditions(False, reason, message))
        return Requeue(min(self._context.options.watch_seconds, PROGRESS_SECONDS))

    async def _end(self, subject: Subject, result: Result) -> Requeue:
        if not result.stored:
            await self._drop_fragments(subject)
        facts = (_stored if result.stored else _failed)(subject, result, self._context.clock.now())
        conditions = _conditions(result.good, result.reason, result.message, over=True)
        done = await self._write(subject, facts, conditions)
        kind, reason = ("Normal", "SnapshotCompleted") if result.good else ("Warning", "SnapshotFailed")
        said = result.message if result.good else f"{result.reason}: {result.message}"
        await self._say(subject, kind, reason, said)
        self._context.reporter.step(Kind.SNAPSHOT.kind, "Snapshot", "done" if result.good else "failed")
        return await self._rest(read_subject(done))

    async def _drop_fragments(self, subject: Subject) -> None:
        """Best effort: fragments are no backup, and no reason to hold back the news that there is none."""
        if subject.phase is Phase.PENDING:
            return
        with suppress(Refused, Retryable):
            storage = await open_storage(self._context, subject.namespace, subject.place)
            await delete_fragments(storage, subject.folder, subject.uid)

    async def _rest(self, subject: Subject) -> Requeue:
        """A snapshot that is over has no Job that runs on: a sidecar in its pod may never end by itself.

        A Job that ends by itself stays, with its pod's log.
        """
        job = self._context.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
        if job is not None and not ended(job):
            over = self._context.clock.now() - subject.over_since
            if over < END_PATIENCE:
                return Requeue((END_PATIENCE - over).total_seconds())
            await self._stop(subject, job)
        return Requeue(self._context.options.resync_seconds)

    async def _stop(self, subject: Subject, job: Manifest) -> None:
        if "deletionTimestamp" not in job["metadata"]:
            await self._context.kubernetes.delete(
                Kind.JOB, subject.namespace, subject.job, uid=job["metadata"]["uid"]
            )

    def _age(self, job: Manifest) -> timedelta:
        return self._context.clock.now() - moment(job["metadata"]["creationTimestamp"])

    async def _say(self, subject: Subject, kind: str, reason: str, message: str) -> None:
        await self._context.reporter.event(subject.manifest, kind=kind, reason=reason, message=message)

    async def _write(
        self, subject: Subject, facts: SnapshotStatus, conditions: tuple[Condition, ...]
    ) -> Manifest:
        return await write_status(
            self._context, Kind.SNAPSHOT, subject.manifest, facts, conditions, kept=ORIGIN
        )


def _orphaned(subject: Subject) -> Result:
    """The Job was deleted: by us, when its pod did not start, or by somebody."""
    if subject.reason == "JobNotStarted":
        return Result(subject.reason, subject.ready_message)
    return Result(
        "JobDeleted",
        f"job {subject.job} was deleted before its end; there is no backup: make another snapshot",
    )


def _stored(subject: Subject, result: Result, now: datetime) -> SnapshotStatus:
    status = SnapshotStatus(
        phase=SnapshotPhase(result.reason),
        job=subject.job,
        location=subject.location,
        started_at=moment(result.started_at) if result.started_at else subject.status.started_at,
        completed_at=moment(result.completed_at) if result.completed_at else now,
        bytes=result.bytes,
        points=result.points,
        collections=tuple(SnapshotCollection(**asdict(saved)) for saved in result.collections),
        message=result.message,
    )
    missing = tuple(SnapshotMissing(**asdict(lost)) for lost in result.missing)
    return status.model_copy(update={"missing": missing}) if missing else status


def _failed(subject: Subject, result: Result, now: datetime) -> SnapshotStatus:
    return SnapshotStatus(
        phase=SnapshotPhase.FAILED,
        job=subject.status.job,
        location=subject.status.location,
        started_at=subject.status.started_at,
        completed_at=now,
        progress=subject.status.progress,
        message=result.message,
    )


def _conditions(ready: bool, reason: str, message: str, *, over: bool = False) -> tuple[Condition, ...]:
    """`Ready`: a restore can be made from it. `Failed`: it never will be."""
    return (
        Condition("Ready", ready, reason, message),
        Condition("Failed", over and not ready, reason, message),
    )
