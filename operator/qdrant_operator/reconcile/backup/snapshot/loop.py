"""The QdrantSnapshot loop: one Job, followed to its end, and its result in status.

A snapshot is taken once. A finished one never changes again; a failed one is not repeated: create another.
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
from qdrant_operator.reconcile.backup.snapshot.deletion import delete_snapshot
from qdrant_operator.reconcile.backup.snapshot.outcome import (
    ended,
    outcome,
    own_state,
    progress,
    run_ended,
    run_pod,
)
from qdrant_operator.reconcile.backup.snapshot.refused import REFUSED_PATIENCE, refuse
from qdrant_operator.reconcile.backup.snapshot.start import not_started, start_problem, wanted_job
from qdrant_operator.reconcile.backup.snapshot.subject import Subject, moment, read_subject
from qdrant_operator.reconcile.backup.storage import delete_fragments, open_storage
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.finalizers import add_finalizer, remove_finalizer
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.events import warn_once
from qdrant_operator.reconcile.reporting.status import write_status

WAIT_PATIENCE = timedelta(hours=1)
"""How long it waits for what needs no user: a cluster that is still forming."""
WHOLE_PATIENCE = timedelta(hours=2)
"""How long it waits in total, whatever the reasons."""
START_PATIENCE = timedelta(minutes=15)
"""How long a Job's pod may take to start: enough for a new node and a large image."""
OVERDUE = timedelta(minutes=10)
"""How long after its deadline a Job may still end: its controller waits for the pod, which may be on a lost node."""
END_PATIENCE = timedelta(minutes=1)
"""How long the Job of a finished snapshot may take to end."""
ORIGIN = ("clusterUid", "scheduleUid", "retention")
"""Fields of status that are never removed: whose data it holds, who created it, and what retention decided."""
PROGRESS_SECONDS = 5.0
"""Between two observations of a running Job; its journal is written as often."""


class SnapshotReconciler:
    """Makes one pass over one QdrantSnapshot."""

    def __init__(self, context: Context) -> None:
        """Keep the context; all state of a snapshot is in Kubernetes and in the storage."""
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
            return await delete_snapshot(self._context, read)
        if read.cleans_up and not read.has_finalizer and read.phase is not Phase.FAILED:
            await add_finalizer(self._context, Kind.SNAPSHOT, read.manifest)
            return Requeue(0)
        if read.has_finalizer and not read.cleans_up:
            await remove_finalizer(self._context, Kind.SNAPSHOT, read.manifest)
            return Requeue(0)
        if read.phase.over:
            return await self._stop_leftover_job(read)
        return await self._advance(read)

    async def _advance(self, subject: Subject) -> Requeue:
        job = self._context.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
        if job is None and subject.phase is Phase.RUNNING:
            job = await self._context.kubernetes.read(Kind.JOB, subject.namespace, subject.job)
            if job is None:
                return await self._end(subject, _job_deleted(subject))
        if job is None:
            return await self._start(subject)
        return await self._watch(subject, job)

    async def _watch(self, subject: Subject, job: Manifest) -> Requeue:
        """A Job that exists: it has ended, is overdue, has not started, or runs."""
        pod = run_pod(self._context, subject, job)
        late = self._age(job) > timedelta(seconds=subject.spec.job.active_deadline_seconds) + OVERDUE
        if run_ended(job, pod) or late:
            return await self._end(subject, await outcome(self._context, subject, job, overdue=late))
        if subject.status.started_at or (pod is not None and own_state(pod).get("running") is not None):
            return await self._follow(subject)
        return await self._await_start(subject, job, pod)

    async def _await_start(self, subject: Subject, job: Manifest, pod: Manifest | None) -> Requeue:
        """Report why the pod does not start; a run that does not start within START_PATIENCE fails with that reason."""
        given_up = self._age(job) > START_PATIENCE
        problem = await start_problem(self._context, job, pod)
        if problem is None and not given_up:
            return await self._report(subject, "Running", "the Job is starting")
        why = not_started(subject, job, problem)
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
            # Created before a crash, or by an operator that just lost its lease: it is the same Job.
            if error.reason != "AlreadyExists":
                return await self._wait(subject, error.reason, error.message, REFUSED_PATIENCE)
        self._context.reporter.step(Kind.SNAPSHOT.kind, "CreateJob", "done")
        await self._say(
            subject, "Normal", "SnapshotStarted", f"job {subject.job} writes to {subject.location}"
        )
        return await self._report(subject, "Running", "the Job is starting")

    async def _record_cluster(self, subject: Subject, uid: str) -> Requeue:
        """Record the cluster before anything is saved: the deletion of the files depends on it."""
        facts = SnapshotStatus(phase=SnapshotPhase.PENDING, cluster_uid=uid)
        await self._write(subject, facts, _conditions(False, "Running", "the Job is being created"))
        return Requeue(0)

    async def _follow(self, subject: Subject) -> Requeue:
        line = await progress(self._context, subject) or subject.status.progress
        began = subject.status.started_at or self._context.clock.now()
        return await self._report(
            subject, "Running", line or "the run has started", began=began, progress=line
        )

    async def _report(
        self,
        subject: Subject,
        reason: str,
        message: str,
        *,
        began: datetime | None = None,
        progress: str | None = None,
    ) -> Requeue:
        """The Job exists, and so far there is no backup."""
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
        """Report what is missing; fail when it has been missing for longer than `patience`."""
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
        return await self._stop_leftover_job(read_subject(done))

    async def _drop_fragments(self, subject: Subject) -> None:
        """Best effort: fragments are no backup, and no reason to delay the report that there is none."""
        if subject.phase is Phase.PENDING:
            return
        with suppress(Refused, Retryable):
            storage = await open_storage(self._context, subject.namespace, subject.place)
            await delete_fragments(storage, subject.folder, subject.uid)

    async def _stop_leftover_job(self, subject: Subject) -> Requeue:
        """Stop the Job of a finished snapshot if it does not end: a sidecar in its pod may run forever.

        A Job that has ended is kept, with its pod's log.
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


def _job_deleted(subject: Subject) -> Result:
    """The Job was deleted: by the operator, because its pod did not start, or by another client."""
    if subject.reason == "JobNotStarted":
        return Result(subject.reason, subject.ready_message)
    return Result(
        "JobDeleted",
        f"job {subject.job} was deleted before it ended, so there is no backup: create another QdrantSnapshot",
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
    """`Ready`: it can be restored. `Failed`: it never can."""
    return (
        Condition("Ready", ready, reason, message),
        Condition("Failed", over and not ready, reason, message),
    )
