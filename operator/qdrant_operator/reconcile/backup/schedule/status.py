"""What a schedule says of itself: whether backups come when they are due, and what became of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from qdrant_operator.domain.common.conditions import Condition, timestamp
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.schedules import latest_due
from qdrant_operator.reconcile.access import cluster_not_found
from qdrant_operator.reconcile.backup.schedule.observe import Observation
from qdrant_operator.reconcile.backup.snapshot.subject import phase_of, status_of
from qdrant_operator.reconcile.ports import Manifest

LAST_SNAPSHOT = "LastSnapshotSucceeded"
LATE = timedelta(minutes=15)
"""A snapshot that was not made so long after its due time is missed: long enough for a run of the time before
that ends a little late."""
FAILURES = 2
"""So many failures in a row, and the schedule is not Ready: one alone is already told by `LastSnapshotSucceeded`."""


def ready(look: Observation, following: datetime, problem: Refused | None) -> Condition:
    """Whether snapshots come when they are due; `problem` is why the one that is due now could not be made."""
    if problem:
        return Condition("Ready", False, problem.reason, problem.message)
    if look.cluster is None:
        # Snapshots are still made when they are due: each waits for the cluster, and its failure raises the alarm.
        missing = cluster_not_found(look.namespace, look.spec.cluster_ref.name)
        return Condition("Ready", False, missing.reason, missing.message)
    if look.spec.suspend:
        return Condition("Ready", True, "Suspended", "spec.suspend is true: no snapshots are made")
    return _missed(look) or _failing(look.snapshots) or _on_time(look, following)


def last_snapshot(snapshots: Sequence[Manifest]) -> Condition:
    """The condition that alarms look at: what became of the newest snapshot that is over."""
    over = _over(snapshots)
    if not over:
        return Condition(LAST_SNAPSHOT, None, "NoSnapshotYet", "no snapshot is over yet")
    name = over[0]["metadata"]["name"]
    if not phase_of(over[0]).good:
        return Condition(LAST_SNAPSHOT, False, "SnapshotFailed", _failure(over[0]))
    return Condition(LAST_SNAPSHOT, True, "SnapshotSucceeded", name)


def _missed(look: Observation) -> Condition | None:
    """The newest due time that nothing was made for although its time is over."""
    due = latest_due(look.spec.schedule, look.spec.time_zone, look.since, look.now - LATE, None)
    if due is None:
        return None
    if look.active:
        running = next(one for one in look.snapshots if one["metadata"]["name"] == look.active[0])
        born = running["metadata"]["creationTimestamp"]
        why = (
            f"{look.active[0]}, made at {born}, is not over; see its status, delete it if it hangs, or set"
            " spec.concurrencyPolicy to Allow"
        )
    else:
        why = (
            "it was not made within spec.startingDeadlineSeconds; raise that field if a late snapshot is better"
            " than none"
        )
    return Condition("Ready", False, "DueTimeMissed", f"no snapshot was made for {timestamp(due)}: {why}")


def _failing(snapshots: Sequence[Manifest]) -> Condition | None:
    newest = _over(snapshots)[:FAILURES]
    if len(newest) < FAILURES or any(phase_of(one).good for one in newest):
        return None
    message = f"the last {FAILURES} snapshots failed; {_failure(newest[0])}"
    return Condition("Ready", False, "SnapshotsFailing", message)


def _on_time(look: Observation, following: datetime) -> Condition:
    if look.active and look.spec.concurrency_policy == "Forbid":
        return Condition("Ready", True, "Waiting", f"{look.active[0]} must end before another is started")
    return Condition("Ready", True, "Scheduled", f"the next snapshot is due at {timestamp(following)}")


def _over(snapshots: Sequence[Manifest]) -> list[Manifest]:
    """Snapshots that are over, the newest first."""
    over = (one for one in snapshots if phase_of(one).over)
    return sorted(
        over, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]), reverse=True
    )


def _failure(snapshot: Manifest) -> str:
    return f"{snapshot['metadata']['name']}: {status_of(snapshot).message or 'see its status'}"
