"""Retention of a schedule: which of its snapshots are deleted, and the record that deletes their files with them.

Only backups of the schedule's present cluster are counted and deleted, by uid: those of an earlier QdrantCluster of
the same name cannot be taken again. No usable backup is deleted while the QdrantCluster is missing or being deleted.
"""

from __future__ import annotations

from qdrant_operator.api.backup.snapshot import SnapshotRetention, SnapshotStatus
from qdrant_operator.domain.backup.retention import Kept, Phase, prune
from qdrant_operator.reconcile.backup.schedule.observe import Observation
from qdrant_operator.reconcile.backup.snapshot.subject import (
    is_expired,
    is_known,
    moment,
    phase_of,
    status_of,
)
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.finalizers import add_finalizer, has_finalizer
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.status import amend_status


async def claim(context: Context, look: Observation) -> bool:
    """Record in the status of new snapshots that this schedule created them; whether there were any."""
    for snapshot in look.unclaimed:
        await amend_status(context, Kind.SNAPSHOT, snapshot, SnapshotStatus(schedule_uid=look.uid))
    return bool(look.unclaimed)


async def retain(context: Context, look: Observation) -> bool:
    """Delete the snapshots that retention drops; whether there were any."""
    keep = look.spec.retention.keep_last if look.spec.retention else None
    known = [snapshot for snapshot in look.snapshots if is_known(snapshot)]
    countable = [snapshot for snapshot in known if _counts(snapshot, look)]
    doomed = prune([_kept(snapshot) for snapshot in countable], keep)
    by_name = {snapshot["metadata"]["name"]: snapshot for snapshot in countable}
    for snapshot in known:
        if snapshot["metadata"]["name"] not in doomed and is_expired(snapshot):
            await _withdraw(context, snapshot)
    for name in doomed:
        await _expire(context, look, by_name[name])
    return bool(doomed)


def _counts(snapshot: Manifest, look: Observation) -> bool:
    """A failed snapshot holds no data; any other must be of the present cluster."""
    if look.cluster is None or "deletionTimestamp" in look.cluster["metadata"]:
        return phase_of(snapshot) is Phase.FAILED
    uid = status_of(snapshot).cluster_uid
    return phase_of(snapshot) is Phase.FAILED or bool(uid == look.cluster["metadata"]["uid"])


async def _expire(context: Context, look: Observation, snapshot: Manifest) -> None:
    """First the record, then the finalizer, then the deletion: a crash in between keeps files."""
    if look.spec.deletion_policy == "Delete" and phase_of(snapshot).stored:
        snapshot = await _record(context, look, snapshot)
        if not has_finalizer(snapshot):
            snapshot = await add_finalizer(context, Kind.SNAPSHOT, snapshot)
    meta = snapshot["metadata"]
    await context.kubernetes.delete(Kind.SNAPSHOT, meta["namespace"], meta["name"], uid=meta["uid"])
    context.reporter.step(Kind.SCHEDULE.kind, "PruneSnapshot", "done")


async def _record(context: Context, look: Observation, snapshot: Manifest) -> Manifest:
    if is_expired(snapshot):
        return snapshot
    decided = SnapshotRetention(uid=snapshot["metadata"]["uid"], decided_at=look.now)
    return await amend_status(context, Kind.SNAPSHOT, snapshot, SnapshotStatus(retention=decided))


async def _withdraw(context: Context, snapshot: Manifest) -> None:
    """The schedule was changed before the deletion: retention keeps the snapshot now."""
    await amend_status(context, Kind.SNAPSHOT, snapshot, SnapshotStatus(), without=("retention",))


def _kept(snapshot: Manifest) -> Kept:
    meta = snapshot["metadata"]
    return Kept(meta["name"], phase_of(snapshot), moment(meta["creationTimestamp"]))
