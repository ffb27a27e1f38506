"""Conditions of a schedule: whether snapshots are taken when they are due, and how the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from qdrant_operator.domain.common.conditions import Condition, timestamp
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.timing.schedules import latest_due
from qdrant_operator.reconcile.access import cluster_not_found
from qdrant_operator.reconcile.backup.schedule.observe import Observation
from qdrant_operator.reconcile.backup.snapshot.subject import phase_of, status_of
from qdrant_operator.reconcile.ports import Manifest

LAST_SNAPSHOT = "LastSnapshotSucceeded"
LATE = timedelta(minutes=15)
"""A snapshot that was not created this long after its due time is missed: long enough for a previous run that ends a
little late."""
FAILURES = 2
"""With so many failures in a row the schedule is not Ready; a single one shows in `LastSnapshotSucceeded`."""


def ready(look: Observation, following: datetime, problem: Refused | None) -> Condition:
    """Whether snapshots are taken when they are due; `problem` is why the one due now could not be created."""
    if problem:
        return Condition("Ready", False, problem.reason, problem.message)
    if look.cluster is None:
        # Snapshots are still created when they are due: each waits for the cluster, and its failure raises the alarm.
        missing = cluster_not_found(look.namespace, look.spec.cluster_ref.name)
        return Condition("Ready", False, missing.reason, missing.message)
    if look.spec.suspend:
        return Condition("Ready", True, "Suspended", "spec.suspend is true: no snapshots are created")
    return _missed(look) or _failing(look.snapshots) or _on_time(look, following)


def last_snapshot(snapshots: Sequence[Manifest]) -> Condition:
    """The condition for alerts: how the newest snapshot that has ended ended."""
    over = _over(snapshots)
    if not over:
        return Condition(LAST_SNAPSHOT, None, "NoSnapshotYet", "no snapshot has ended yet")
    name = over[0]["metadata"]["name"]
    if not phase_of(over[0]).good:
        return Condition(LAST_SNAPSHOT, False, "SnapshotFailed", _failure(over[0]))
    return Condition(LAST_SNAPSHOT, True, "SnapshotSucceeded", name)


def _missed(look: Observation) -> Condition | None:
    """The newest due time for which no snapshot was created in time."""
    due = latest_due(look.spec.schedule, look.spec.time_zone, look.since, look.now - LATE, None)
    if due is None:
        return None
    if look.active:
        by_name = {snapshot["metadata"]["name"]: snapshot for snapshot in look.snapshots}
        born = by_name[look.active[0]]["metadata"]["creationTimestamp"]
        why = (
            f"{look.active[0]}, created at {born}, has not ended; see its status, delete it if it hangs, or set"
            " spec.concurrencyPolicy to Allow"
        )
    else:
        why = (
            "it was not created within spec.startingDeadlineSeconds; raise that field if a late snapshot is better than"
            " none"
        )
    return Condition("Ready", False, "DueTimeMissed", f"no snapshot was created for {timestamp(due)}: {why}")


def _failing(snapshots: Sequence[Manifest]) -> Condition | None:
    newest = _over(snapshots)[:FAILURES]
    if len(newest) < FAILURES or any(phase_of(snapshot).good for snapshot in newest):
        return None
    message = f"the last {FAILURES} snapshots failed; {_failure(newest[0])}"
    return Condition("Ready", False, "SnapshotsFailing", message)


def _on_time(look: Observation, following: datetime) -> Condition:
    if look.active and look.spec.concurrency_policy == "Forbid":
        return Condition("Ready", True, "Waiting", f"{look.active[0]} must end before another starts")
    return Condition("Ready", True, "Scheduled", f"the next snapshot is due at {timestamp(following)}")


def _over(snapshots: Sequence[Manifest]) -> list[Manifest]:
    """Snapshots that have ended, the newest first."""
    over = [snapshot for snapshot in snapshots if phase_of(snapshot).over]
    return sorted(over, key=_age, reverse=True)


def _age(snapshot: Manifest) -> tuple[str, str]:
    return snapshot["metadata"]["creationTimestamp"], snapshot["metadata"]["name"]


def _failure(snapshot: Manifest) -> str:
    return f"{snapshot['metadata']['name']}: {status_of(snapshot).message or 'see its status'}"
