"""The QdrantSnapshotSchedule loop: makes QdrantSnapshots by the clock, and prunes them.

CronJob's words with CronJob's meaning, but for daylight saving (see `domain.schedules`). At most one missed time is
made up for. A snapshot's name follows from the time it was due, so a crash between making it and saying so
cannot make two. Snapshots belong to no schedule in Kubernetes' sense: deleting a schedule never deletes backups.

Retention deletes QdrantSnapshots; their files go with them or stay as `spec.deletionPolicy` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.api import SnapshotScheduleSpec
from qdrant_operator.domain import names
from qdrant_operator.domain.backups import Kept, prune
from qdrant_operator.domain.conditions import Condition, timestamp
from qdrant_operator.domain.errors import Refused
from qdrant_operator.domain.schedules import latest_due, next_due, run_name
from qdrant_operator.reconcile.access import missing_cluster
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.snapshot_subject import moment, phase_of
from qdrant_operator.reconcile.status import write_status
from qdrant_operator.reconcile.world import Again, World

LAST_SNAPSHOT = "LastSnapshotSucceeded"
SCHEDULED_AT = f"{names.GROUP}/scheduled-at"
"""Annotation of a snapshot: the time it was due. Tells a pass after a crash what was done already."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A schedule and its snapshots, as of now."""

    manifest: Manifest
    spec: SnapshotScheduleSpec
    snapshots: tuple[Manifest, ...]
    """Those that are not being deleted."""
    now: datetime

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def last(self) -> datetime | None:
        """The newest due time that was acted on: status says it, or a snapshot that status knows nothing of."""
        said = (self.manifest.get("status") or {}).get("lastScheduleTime")
        notes = (one["metadata"].get("annotations") or {} for one in self.snapshots)
        texts = [said, *(note.get(SCHEDULED_AT) for note in notes)]
        return max((moment(text) for text in texts if text), default=None)

    @property
    def since(self) -> datetime:
        """Due times up to here are settled."""
        born = moment(self.manifest["metadata"]["creationTimestamp"])
        return max(born, self.last) if self.last else born

    @property
    def active(self) -> tuple[str, ...]:
        return tuple(s["metadata"]["name"] for s in self.snapshots if not phase_of(s).over)


class ScheduleReconciler:
    """Takes one pass over one QdrantSnapshotSchedule."""

    def __init__(self, world: World) -> None:
        """Keep the world; what was done is read from the snapshots themselves."""
        self._world = world

    async def reconcile(self, subject: Manifest) -> Again:
        """Make the snapshot that is due, prune, and say when the next is due."""
        if "deletionTimestamp" in subject["metadata"]:
            return Again(self._world.options.resync_seconds)
        look = self._look(subject)
        try:
            following = next_due(look.spec.schedule, look.spec.time_zone, look.now)
            due = self._due(look)
        except Refused as error:
            return await self._refuse(look, error)
        acted = await self._make(look, due) if due else None
        await self._prune(look)
        missing = await missing_cluster(
            self._world.kubernetes, subject["metadata"]["namespace"], look.spec.cluster_ref.name
        )
        await self._report(self._look(subject), acted or look.last, following, missing)
        return Again(self._world.options.watch_seconds) if missing else self._pause(following)

    def _look(self, subject: Manifest) -> _Look:
        meta = subject["metadata"]
        found = self._world.kubernetes.cached(
            Kind.SNAPSHOT, meta["namespace"], {names.LABEL_SCHEDULE: meta["name"]}
        )
        spec = SnapshotScheduleSpec.model_validate(subject["spec"])
        staying = tuple(one for one in found if "deletionTimestamp" not in one["metadata"])
        return _Look(subject, spec, staying, self._world.clock.now())

    def _due(self, look: _Look) -> datetime | None:
        """The due time to act on now: none while suspended, or while a snapshot runs that forbids others."""
        if look.spec.suspend or (look.active and look.spec.concurrency_policy == "Forbid"):
            return None
        seconds = look.spec.starting_deadline_seconds
        deadline = None if seconds is None else timedelta(seconds=seconds)
        return latest_due(look.spec.schedule, look.spec.time_zone, look.since, look.now, deadline)

    async def _make(self, look: _Look, due: datetime) -> datetime:
        manifest = _snapshot(look, due)
        name = manifest["metadata"]["name"]
        try:
            await self._world.kubernetes.create(manifest)
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise
            return due
        self._world.reporter.step(Kind.SCHEDULE.kind, "CreateSnapshot", "done")
        await self._world.reporter.event(
            look.manifest, kind="Normal", reason="SnapshotCreated", message=f"created QdrantSnapshot {name}"
        )
        return due

    async def _prune(self, look: _Look) -> None:
        keep = look.spec.retention.keep_last if look.spec.retention else None
        doomed = prune([_kept(one) for one in look.snapshots], keep)
        by_name = {one["metadata"]["name"]: one["metadata"] for one in look.snapshots}
        for name in doomed:
            meta = by_name[name]
            await self._world.kubernetes.delete(Kind.SNAPSHOT, meta["namespace"], name, uid=meta["uid"])
            self._world.reporter.step(Kind.SCHEDULE.kind, "PruneSnapshot", "done")

    async def _report(
        self, look: _Look, last: datetime | None, following: datetime, missing: Refused | None
    ) -> None:
        good = [one for one in look.snapshots if phase_of(one).good]
        done = max((one["status"].get("completedAt") or "" for one in good), default="")
        facts = {
            "lastScheduleTime": timestamp(last) if last else None,
            "nextScheduleTime": None if look.spec.suspend else timestamp(following),
            "lastSuccessfulTime": done or (look.manifest.get("status") or {}).get("lastSuccessfulTime"),
            "active": list(look.active),
            "kept": len(good),
        }
        ready = _homeless(missing) if missing else _ready(look, following)
        await self._write(look, facts, (ready, _last_snapshot(look.snapshots)))

    async def _refuse(self, look: _Look, error: Refused) -> Again:
        status = look.manifest.get("status") or {}
        known = {k: v for k, v in status.items() if k not in ("conditions", "observedGeneration")}
        known.pop("nextScheduleTime", None)
        if not any(c.get("reason") == error.reason for c in status.get("conditions") or ()):
            await self._world.reporter.event(
                look.manifest, kind="Warning", reason=error.reason, message=error.message
            )
        ready = Condition("Ready", False, error.reason, error.message)
        await self._write(look, known, (ready, _last_snapshot(look.snapshots)))
        return Again(self._world.options.resync_seconds)

    async def _write(self, look: _Look, facts: Manifest, conditions: tuple[Condition, ...]) -> None:
        await write_status(self._world, Kind.SCHEDULE, look.manifest, facts, conditions)

    def _pause(self, following: datetime) -> Again:
        """Until the next due time, if that is sooner than the usual look."""
        until = (following - self._world.clock.now()).total_seconds()
        return Again(min(max(until, 0.1), self._world.options.resync_seconds))


def _snapshot(look: _Look, due: datetime) -> Manifest:
    meta, spec = look.manifest["metadata"], look.spec
    return {
        "apiVersion": Kind.SNAPSHOT.api_version,
        "kind": Kind.SNAPSHOT.kind,
        "metadata": {
            "name": run_name(look.name, due),
            "namespace": meta["namespace"],
            "labels": {
                **names.MANAGED,
                names.LABEL_CLUSTER: spec.cluster_ref.name,
                names.LABEL_SCHEDULE: look.name,
            },
            "annotations": {SCHEDULED_AT: timestamp(due)},
        },
        "spec": {
            "clusterRef": spec.cluster_ref.manifest(),
            "collections": list(spec.collections),
            "storage": spec.storage.manifest(),
            "verify": spec.verify.manifest(),
            "deletionPolicy": spec.deletion_policy,
        },
    }


def _kept(snapshot: Manifest) -> Kept:
    meta = snapshot["metadata"]
    return Kept(meta["name"], phase_of(snapshot), moment(meta["creationTimestamp"]))


def _ready(look: _Look, following: datetime) -> Condition:
    if look.spec.suspend:
        return Condition("Ready", True, "Suspended", "spec.suspend is true: no snapshots are made")
    if look.active and look.spec.concurrency_policy == "Forbid":
        return Condition("Ready", True, "Waiting", f"{look.active[0]} must end before another is started")
    return Condition("Ready", True, "Scheduled", f"the next snapshot is due at {timestamp(following)}")


def _homeless(missing: Refused) -> Condition:
    """Snapshots are still made when they are due: each waits for the cluster, and its failure raises the alarm."""
    return Condition("Ready", False, missing.reason, missing.message)


def _last_snapshot(snapshots: Sequence[Manifest]) -> Condition:
    """The condition that alarms look at: what became of the newest snapshot that is over."""
    over = [one for one in snapshots if phase_of(one).over]
    if not over:
        return Condition(LAST_SNAPSHOT, None, "NoSnapshotYet", "no snapshot is over yet")
    newest = max(over, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
    name = newest["metadata"]["name"]
    if not phase_of(newest).good:
        why = newest["status"].get("message") or "see its status"
        return Condition(LAST_SNAPSHOT, False, "SnapshotFailed", f"{name}: {why}")
    return Condition(LAST_SNAPSHOT, True, "SnapshotSucceeded", name)
