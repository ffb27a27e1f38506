"""Deleting a QdrantSnapshot whose files go with it: the Job first, then the files, then our finalizer.

A deletion never hangs: what cannot be deleted within ten minutes is left where it is and named in an Event. A
Secret or bucket that is gone cannot come back in time either, so then the object is let go at once.
"""

from __future__ import annotations

from datetime import timedelta

from qdrant_operator.domain import names
from qdrant_operator.domain.backups import Phase
from qdrant_operator.domain.errors import Refused, Retryable
from qdrant_operator.reconcile.backup_storage import delete_backup, delete_fragments, open_storage
from qdrant_operator.reconcile.ports import Kind
from qdrant_operator.reconcile.snapshot_outcome import ended
from qdrant_operator.reconcile.snapshot_subject import Subject, moment
from qdrant_operator.reconcile.world import Again, World

PATIENCE = timedelta(minutes=10)
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
"""Reasons that waiting does not change: no way to the files, as when a namespace is deleted, or not our files."""


async def leave(world: World, subject: Subject) -> Again:
    """One pass over a snapshot that is being deleted."""
    if not subject.held:
        return Again(world.options.resync_seconds)
    if await _job_stands(world, subject):
        return Again(world.options.busy_seconds)
    left = None if subject.phase is Phase.PENDING else await _delete_files(world, subject)
    if left is not None and not _given_up(world, subject, left):
        raise left
    if left is not None:
        await world.reporter.event(
            subject.manifest,
            kind="Warning",
            reason="FilesLeft",
            message=f"the files at {subject.location} were not deleted: {left}",
        )
    await hold(world, subject, held=False)
    return Again(world.options.resync_seconds)


async def hold(world: World, subject: Subject, *, held: bool) -> None:
    """Put our finalizer on exactly the version that was read, or take it off; others' stay."""
    meta = subject.manifest["metadata"]
    others = [one for one in meta.get("finalizers") or () if one != names.FINALIZER]
    body = {
        "metadata": {
            "resourceVersion": meta["resourceVersion"],
            "finalizers": [*others, names.FINALIZER] if held else others,
        }
    }
    await world.kubernetes.patch(Kind.SNAPSHOT, subject.namespace, subject.name, body)


async def _job_stands(world: World, subject: Subject) -> bool:
    """A run that goes on would store files after us: it is stopped and waited for."""
    job = world.kubernetes.cached_one(Kind.JOB, subject.namespace, subject.job)
    if job is None or ended(job) or _late(world, subject):
        return False
    if "deletionTimestamp" not in job["metadata"]:
        await world.kubernetes.delete(
            Kind.JOB, subject.namespace, subject.job, uid=job["metadata"]["uid"], foreground=True
        )
    return True


async def _delete_files(world: World, subject: Subject) -> Refused | Retryable | None:
    """Delete the files; what could not be done is given back."""
    try:
        storage = await open_storage(world, subject.namespace, subject.place)
        if subject.phase.stored:
            await delete_backup(storage, subject.folder, subject.uid)
        else:
            await delete_fragments(storage, subject.folder, subject.uid)
    except (Refused, Retryable) as error:
        return error
    return None


def _given_up(world: World, subject: Subject, error: Refused | Retryable) -> bool:
    return _late(world, subject) or (isinstance(error, Refused) and error.reason in HOPELESS)


def _late(world: World, subject: Subject) -> bool:
    since = moment(subject.manifest["metadata"]["deletionTimestamp"])
    return world.clock.now() - since > PATIENCE
