"""A QdrantSnapshot that cannot be read: nothing is started, stopped or deleted for it, and status says why.

A run that another release of the operator started continues. Files are kept: what they belong to is not known.
"""

from __future__ import annotations

from datetime import timedelta

from qdrant_operator.api import SnapshotPhase, SnapshotStatus
from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.manifests.jobs import job_name
from qdrant_operator.reconcile.backup.snapshot.deletion import PATIENCE, files_left
from qdrant_operator.reconcile.backup.snapshot.subject import is_over, moment, phase_of, status_of
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.finalizers import has_finalizer, remove_finalizer
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.events import warn_once
from qdrant_operator.reconcile.reporting.status import every_field, write_status

REFUSED_PATIENCE = timedelta(minutes=10)
"""How long a snapshot waits for a correction: long enough to create a missing Secret, short enough not to delay a
schedule's next run for long."""


async def refuse(context: Context, manifest: Manifest, error: Refused) -> Requeue:
    """One pass over a snapshot that is refused as a whole. A finished one keeps its conditions.

    Raises:
        Refused: `error` itself, while a deletion waits for a correction.
    """
    if "deletionTimestamp" in manifest["metadata"]:
        return await _delete(context, manifest, error)
    if not is_over(manifest):
        await _report(context, manifest, error)
    return Requeue(context.options.resync_seconds)


async def _report(context: Context, manifest: Manifest, error: Refused) -> None:
    failed = error.reason == "InvalidSpec" and _fails(context, manifest)
    if failed:
        await context.reporter.event(manifest, kind="Warning", reason="SnapshotFailed", message=error.message)
    else:
        await warn_once(context, Kind.SNAPSHOT, manifest, error.reason, error.message)
    conditions = (
        Condition("Ready", False, error.reason, error.message),
        Condition("Failed", failed, error.reason, error.message),
    )
    facts = _end(context, error) if failed else SnapshotStatus()
    await write_status(context, Kind.SNAPSHOT, manifest, facts, conditions, kept=every_field(Kind.SNAPSHOT))


def _end(context: Context, error: Refused) -> SnapshotStatus:
    return SnapshotStatus(phase=SnapshotPhase.FAILED, completed_at=context.clock.now(), message=error.message)


def _fails(context: Context, manifest: Manifest) -> bool:
    """Whether nothing was started for it and it was not corrected in time."""
    meta = manifest["metadata"]
    job = context.kubernetes.cached_one(Kind.JOB, meta["namespace"], job_name(meta["name"], meta["uid"]))
    waited = context.clock.now() - moment(meta["creationTimestamp"])
    return phase_of(manifest) is Phase.PENDING and job is None and waited > REFUSED_PATIENCE


async def _delete(context: Context, manifest: Manifest, error: Refused) -> Requeue:
    """The deletion waits for a correction as long as for a storage that does not answer; then the files are kept."""
    meta = manifest["metadata"]
    if not has_finalizer(manifest):
        return Requeue(context.options.resync_seconds)
    if context.clock.now() - moment(meta["deletionTimestamp"]) <= PATIENCE:
        raise error
    location = status_of(manifest).location
    if location:
        await files_left(context, manifest, location, error.message)
    await remove_finalizer(context, Kind.SNAPSHOT, manifest)
    return Requeue(context.options.resync_seconds)
