"""Whether the files of a QdrantSnapshot that is being deleted may be deleted too, decided on live objects.

Deleting a namespace or a QdrantCluster by accident deletes its QdrantSnapshots as well. It must not delete the backups.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from qdrant_operator.reconcile.backup.snapshot.subject import Subject, phase_of, status_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind


async def reason_to_keep(context: Context, subject: Subject) -> str | None:
    """Why the files are kept although their object asks to delete them; None: delete them. Everything is read live.

    Raises:
        Refused, Retryable: it cannot be known now.
    """
    for reason in REASONS:
        why = await reason(context, subject)
        if why:
            return why
    return None


async def _namespace_deleted(context: Context, subject: Subject) -> str | None:
    found = await context.kubernetes.read(Kind.NAMESPACE, "", subject.namespace)
    if found is None or "deletionTimestamp" in found["metadata"]:
        return f"namespace {subject.namespace!r} is being deleted"
    return None


async def _cluster_deleted(context: Context, subject: Subject) -> str | None:
    found = await context.kubernetes.read(Kind.CLUSTER, subject.namespace, subject.cluster)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        return f"QdrantCluster {subject.cluster!r} is being deleted"
    if found is None or found["metadata"]["uid"] != subject.cluster_uid:
        return f"QdrantCluster {subject.cluster!r}, whose backup they are, no longer exists"
    return None


async def _last_backup(context: Context, subject: Subject) -> str | None:
    """Retention counted other backups when it decided; they may have been deleted since."""
    if not subject.expired:
        return None
    others = await context.kubernetes.list(Kind.SNAPSHOT, subject.namespace, {})
    for other in others:
        going = "deletionTimestamp" in other["metadata"]
        same = status_of(other).cluster_uid == subject.cluster_uid
        if same and not going and phase_of(other).good:
            return None
    return f"they are the last backup of QdrantCluster {subject.cluster!r}"


Reason = Callable[[Context, Subject], Awaitable[str | None]]

REASONS: tuple[Reason, ...] = (_namespace_deleted, _cluster_deleted, _last_backup)
"""The first that holds is reported."""
