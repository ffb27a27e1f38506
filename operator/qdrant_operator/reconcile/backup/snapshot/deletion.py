"""Deleting a QdrantSnapshot: whether its files are deleted too, then the Job, the files, and the finalizer.

A deletion never hangs: what cannot be deleted within ten minutes is kept and named in an Event. When the Secret or
the bucket is gone, waiting does not help, and the finalizer is removed at once.
"""

from __future__ import annotations

from datetime import timedelta

from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.reconcile.backup.snapshot.outcome import ended
from qdrant_operator.reconcile.backup.snapshot.permission import reason_to_keep
from qdrant_operator.reconcile.backup.snapshot.subject import Subject, moment
from qdrant_operator.reconcile.backup.storage import delete_backup, delete_fragments, open_storage
from qdrant_operator.reconcile.context import Context, Requeue
from qdrant_operator.reconcile.finalizers import remove_finalizer
from qdrant_operator.reconcile.ports import Kind, Manifest

PATIENCE = timedelta(minutes=10)
"""How long a deletion waits for a storage that does not answer, or for a correction of the spec."""
SETTLING = timedelta(seconds=10)
"""Files are deleted this long after their object: deleting a folder of manifests, or a release of a chart, deletes the
QdrantCluster within the same seconds, and then the files are kept."""
HOPELESS = frozenset(
    {
        "SecretNotFound",
        "SecretKeyNotFound",
        "SecretEmpty",
        "SecretValueInvalid",
        "BucketNotFound",
        "FolderNotOwned",
        "NoCredentials",
        "EndpointNotAllowed",
    }
)
"""Reasons that waiting does not change: no access to the files, as in a namespace that is deleted, or foreign files."""


async def delete_snapshot(context: Context, subject: Subject) -> Requeue:
    """One pass over a snapshot that is being deleted."""
    if not subject.has_finalizer:
        return Requeue(context.options.resync_seconds)
    if not subject.cleans_up or not _stored(subject):
        return await _finish(context, subject)
    try:
        why = await reason_to_keep(context, subject)
    except (Refused, Retryable) as error:
        return await _retry_or_give_up(context, subject, error)
    if why is not None:
        await files_left(context, subject.manifest, subject.location, why)
        return await _finish(context, subject)
    wait = SETTLING - _age(context, subject)
    if wait > timedelta():
        return Requeue(wait.total_seconds())
    return await _delete(context, subject)


async def _delete(context: Context, subject: Subject) -> Requeue:
    if await _stop_job(context, subject):
        return Requeue(context.options.busy_seconds)
    try:
        await _delete_files(context, subject)
    except (Refused, Retryable) as error:
        return await _retry_or_give_up(context, subject, error)
    return await _finish(context, subject)


async def _retry_or_give_up(context: Context, subject: Subject, error: Refused | Retryable) -> Requeue:
    """A failure is retried until PATIENCE is over; then the files are kept, and an Event names them."""
    hopeless = isinstance(error, Refused) and error.reason in HOPELESS
    if not hopeless and not _late(context, subject):
        raise error
    await files_left(context, subject.manifest, subject.location, str(error))
    return await _finish(context, subject)


async def _finish(context: Context, subject: Subject) -> Requeue:
    await remove_finalizer(context, Kind.SNAPSHOT, subject.manifest)
    return Requeue(context.options.resync_seconds)


async def files_left(context: Context, manifest: Manifest, location: str, why: str) -> None:
    """Report in an Event that files are kept although their object is deleted."""
    message = f"the files at {location} were not deleted: {why}"
    await context.reporter.event(manifest, kind="Warning", reason="FilesLeft", message=message)


async def _stop_job(context: Context, subject: Subject) -> bool:
    """Stop a run, which would store more files; True while it has not ended."""
    job = context.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
    if job is None or ended(job) or _late(context, subject):
        return False
    if "deletionTimestamp" not in job["metadata"]:
        await context.kubernetes.delete(
            Kind.JOB, subject.namespace, subject.job, uid=job["metadata"]["uid"], foreground=True
        )
    return True


async def _delete_files(context: Context, subject: Subject) -> None:
    if secret := subject.place.secret:
        # A Secret that was deleted since it was last read must not open the bucket.
        await context.kubernetes.read(Kind.SECRET, subject.namespace, secret, fresh=True)
    storage = await open_storage(context, subject.namespace, subject.place)
    if subject.phase.stored:
        await delete_backup(storage, subject.folder, subject.uid)
    else:
        await delete_fragments(storage, subject.folder, subject.uid)


def _stored(subject: Subject) -> bool:
    """Whether a run may have stored files: without a Job there was none."""
    return subject.phase is not Phase.PENDING and bool(subject.status.job)


def _late(context: Context, subject: Subject) -> bool:
    return _age(context, subject) > PATIENCE


def _age(context: Context, subject: Subject) -> timedelta:
    return context.clock.now() - moment(subject.manifest["metadata"]["deletionTimestamp"])
