"""What a schedule's pass observes: its spec, its cluster, and the snapshots that it created itself.

Users may copy labels. A snapshot belongs to the schedule when its status records the schedule's uid; one whose status
does not yet is claimed if its name and its annotations are those that this schedule would give it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qdrant_operator.api import SnapshotScheduleSpec, SnapshotScheduleStatus
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.timing.schedules import run_name
from qdrant_operator.reconcile.access import find_cluster
from qdrant_operator.reconcile.backup.snapshot.subject import is_known, is_over, moment, status_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.named import Named
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.spec import read_spec


@dataclass(frozen=True, slots=True)
class Observation(Named):
    """A schedule and its snapshots, as of now."""

    spec: SnapshotScheduleSpec
    snapshots: tuple[Manifest, ...]
    """Those that it created and that are not being deleted."""
    cluster: Manifest | None
    """Its QdrantCluster; None: it does not exist."""
    now: datetime

    @property
    def unclaimed(self) -> tuple[Manifest, ...]:
        """Snapshots that it created and whose status does not record that yet; not those of a newer release."""
        return tuple(found for found in self.snapshots if _maker(found) is None and is_known(found))

    @property
    def last(self) -> datetime | None:
        """The newest due time that was acted on: in status, or on a snapshot that status does not count yet."""
        texts = (_notes(snapshot).get(names.ANNOTATION_SCHEDULED_AT) for snapshot in self.snapshots)
        times = [moment(text) for text in texts if text]
        recorded = self._status.last_schedule_time
        return max([*times, recorded] if recorded else times, default=None)

    @property
    def last_successful(self) -> datetime | None:
        """When the newest complete snapshot that status knows of was completed."""
        return self._status.last_successful_time

    @property
    def _status(self) -> SnapshotScheduleStatus:
        return read_status(SnapshotScheduleStatus, self.manifest)

    @property
    def since(self) -> datetime:
        """Due times up to here were handled."""
        born = moment(self.manifest["metadata"]["creationTimestamp"])
        return max(born, self.last) if self.last else born

    @property
    def active(self) -> tuple[str, ...]:
        """Names of its snapshots that have not ended."""
        return tuple(s["metadata"]["name"] for s in self.snapshots if not is_over(s))


async def look_at(context: Context, subject: Manifest) -> Observation:
    """Read everything that a pass decides on.

    Raises:
        Refused: `InvalidSpec`.
    """
    spec = read_spec(SnapshotScheduleSpec, subject["spec"])
    made = snapshots_of(context, subject)
    cluster = await find_cluster(context.kubernetes, subject["metadata"]["namespace"], spec.cluster_ref.name)
    return Observation(subject, spec, made, cluster, context.clock.now())


def snapshots_of(context: Context, schedule: Manifest) -> tuple[Manifest, ...]:
    """Snapshots that the schedule created and that are not being deleted."""
    meta = schedule["metadata"]
    found = context.kubernetes.cached(Kind.SNAPSHOT, meta["namespace"], {names.LABEL_SCHEDULE: meta["name"]})
    staying = (snapshot for snapshot in found if "deletionTimestamp" not in snapshot["metadata"])
    return tuple(snapshot for snapshot in staying if made_by(snapshot, meta["name"], meta["uid"]))


def made_by(snapshot: Manifest, schedule: str, uid: str) -> bool:
    """Whether the schedule with this name and uid created the snapshot."""
    maker = _maker(snapshot)
    return maker == uid if maker is not None else _named_by(snapshot, schedule, uid)


def _named_by(snapshot: Manifest, schedule: str, uid: str) -> bool:
    notes = _notes(snapshot)
    due = notes.get(names.ANNOTATION_SCHEDULED_AT)
    if notes.get(names.ANNOTATION_SCHEDULE) != uid or not due:
        return False
    return bool(snapshot["metadata"]["name"] == run_name(schedule, moment(due)))


def _maker(snapshot: Manifest) -> str | None:
    return status_of(snapshot).schedule_uid


def _notes(snapshot: Manifest) -> Manifest:
    return snapshot["metadata"].get("annotations") or {}
