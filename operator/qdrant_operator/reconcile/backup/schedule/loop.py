"""The QdrantSnapshotSchedule loop: creates QdrantSnapshots on schedule, and deletes those that retention drops.

The fields mean what they mean on a CronJob, except for daylight saving time (see `domain.common.schedules`). At most
one missed time is made up for. A snapshot's name follows from its due time, so a crash after creating it cannot create
two. Snapshots have no owner reference: deleting a schedule never deletes backups.

A snapshot gets `deletionPolicy: Retain`: only retention, or a user who sets Delete on it, deletes its files.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from qdrant_operator.api import SnapshotScheduleStatus
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.conditions import Condition, timestamp
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.timing.schedules import latest_due, next_due, run_name
from qdrant_operator.reconcile.backup.schedule.observe import Observation, look_at, made_by, snapshots_of
from qdrant_operator.reconcile.backup.schedule.retention import claim, retain
from qdrant_operator.reconcile.backup.schedule.status import last_snapshot, ready
from qdrant_operator.reconcile.backup.snapshot.subject import phase_of, status_of
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.events import warn_once
from qdrant_operator.reconcile.reporting.status import every_field, write_status


class ScheduleReconciler:
    """Makes one pass over one QdrantSnapshotSchedule."""

    def __init__(self, context: Context) -> None:
        """Keep the context; what was done is read from the snapshots themselves."""
        self._context = context

    async def reconcile(self, subject: Manifest) -> Requeue:
        """Create the snapshot that is due, apply retention, and report when the next is due."""
        if "deletionTimestamp" in subject["metadata"]:
            return Requeue(self._context.options.resync_seconds)
        try:
            look = await look_at(self._context, subject)
            following = next_due(look.spec.schedule, look.spec.time_zone, look.now)
            due = self._due(look)
        except Refused as error:
            return await self._refuse(subject, error)
        problem = await self._make(look, due) if due else None
        look = await self._retained(subject)
        await self._report(look, following, problem)
        return (
            Requeue(self._context.options.watch_seconds) if look.cluster is None else self._pause(following)
        )

    def _due(self, look: Observation) -> datetime | None:
        """The due time to act on now; None while suspended, or while a running snapshot forbids another one."""
        if look.spec.suspend or (look.active and look.spec.concurrency_policy == "Forbid"):
            return None
        seconds = look.spec.starting_deadline_seconds
        deadline = None if seconds is None else timedelta(seconds=seconds)
        return latest_due(look.spec.schedule, look.spec.time_zone, look.since, look.now, deadline)

    async def _make(self, look: Observation, due: datetime) -> Refused | None:
        """Create the snapshot; returns why it could not be created, for the condition."""
        manifest = _snapshot(look, due)
        name = manifest["metadata"]["name"]
        try:
            await self._context.kubernetes.create(manifest)
        except Refused as error:
            if error.reason != "AlreadyExists":
                return Refused(
                    "SnapshotNotCreated", f"QdrantSnapshot {name} cannot be created: {error.message}"
                )
            return await self._exists(look, name)
        self._context.reporter.step(Kind.SCHEDULE.kind, "CreateSnapshot", "done")
        await self._context.reporter.event(
            look.manifest, kind="Normal", reason="SnapshotCreated", message=f"created QdrantSnapshot {name}"
        )
        return None

    async def _exists(self, look: Observation, name: str) -> Refused | None:
        """A snapshot of that name exists: this schedule created it before a crash (None), or another client did."""
        there = await self._context.kubernetes.read(Kind.SNAPSHOT, look.namespace, name)
        if there is None or made_by(there, look.name, look.uid):
            return None
        return Refused(
            "SnapshotNotCreated",
            f"QdrantSnapshot {name} exists and was not created by this schedule; the next due time is not affected",
        )

    async def _retained(self, subject: Manifest) -> Observation:
        """Claim new snapshots and apply retention; returns what is left."""
        look = await look_at(self._context, subject)
        if await claim(self._context, look):
            look = await look_at(self._context, subject)
        return await look_at(self._context, subject) if await retain(self._context, look) else look

    async def _report(self, look: Observation, following: datetime, problem: Refused | None) -> None:
        good = [snapshot for snapshot in look.snapshots if phase_of(snapshot).good]
        completed = [status_of(snapshot).completed_at for snapshot in good]
        facts = SnapshotScheduleStatus(
            last_schedule_time=look.last,
            next_schedule_time=None if look.spec.suspend else following,
            last_successful_time=max((time for time in completed if time), default=look.last_successful),
            active=look.active,
            kept=len(good),
        )
        await self._write(look.manifest, look.snapshots, facts, ready(look, following, problem))

    async def _refuse(self, subject: Manifest, error: Refused) -> Requeue:
        condition = Condition("Ready", False, error.reason, error.message)
        kept = every_field(Kind.SCHEDULE, but=("nextScheduleTime",))
        snapshots = snapshots_of(self._context, subject)
        await self._write(subject, snapshots, SnapshotScheduleStatus(), condition, kept)
        return Requeue(self._context.options.resync_seconds)

    async def _write(
        self,
        subject: Manifest,
        snapshots: tuple[Manifest, ...],
        facts: SnapshotScheduleStatus,
        condition: Condition,
        kept: frozenset[str] = frozenset(),
    ) -> None:
        if condition.status is False:
            await warn_once(self._context, Kind.SCHEDULE, subject, condition.reason, condition.message)
        conditions = (condition, last_snapshot(snapshots))
        await write_status(self._context, Kind.SCHEDULE, subject, facts, conditions, kept=kept)

    def _pause(self, following: datetime) -> Requeue:
        """Until the next due time, if that is sooner than the usual look."""
        until = (following - self._context.clock.now()).total_seconds()
        return Requeue(min(max(until, 0.1), self._context.options.resync_seconds))


def _snapshot(look: Observation, due: datetime) -> Manifest:
    spec = look.spec
    return {
        "apiVersion": Kind.SNAPSHOT.api_version,
        "kind": Kind.SNAPSHOT.kind,
        "metadata": {
            "name": run_name(look.name, due),
            "namespace": look.namespace,
            "labels": {
                **names.MANAGED,
                names.LABEL_CLUSTER: spec.cluster_ref.name,
                names.LABEL_SCHEDULE: look.name,
            },
            "annotations": {
                names.ANNOTATION_SCHEDULE: look.uid,
                names.ANNOTATION_SCHEDULED_AT: timestamp(due),
            },
        },
        "spec": {
            "clusterRef": spec.cluster_ref.manifest(),
            "collections": list(spec.collections),
            "storage": spec.storage.manifest(),
            "verify": spec.verify.manifest(),
            "job": spec.job.manifest(),
            "deletionPolicy": "Retain",
        },
    }
