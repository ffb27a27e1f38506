"""Whether the files of a QdrantSnapshot that is being deleted may go with it: asked of the world as it is now.

An accident that takes a namespace or a QdrantCluster takes its QdrantSnapshots along. It must not take the backups.
"""

from __future__ import annotations

from qdrant_operator.reconcile.backup.snapshot.subject import Subject, phase_of, status_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind


async def kept_because(context: Context, subject: Subject) -> str | None:
    """Why the files stay although their object wants them deleted; None: they may go. Everything is read live.

    Raises:
        Refused, Retryable: it cannot be known now.
    """
    return (
        await _namespace_goes(context, subject)
        or await _cluster_goes(context, subject)
        or (await _nothing_else(context, subject) if subject.expired else None)
    )


async def _namespace_goes(context: Context, subject: Subject) -> str | None:
    found = await context.kubernetes.read(Kind.NAMESPACE, "", subject.namespace)
    if found is None or "deletionTimestamp" in found["metadata"]:
        return f"namespace {subject.namespace!r} is being deleted"
    return None


async def _cluster_goes(context: Context, subject: Subject) -> str | None:
    found = await context.kubernetes.read(Kind.CLUSTER, subject.namespace, subject.cluster)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        return f"QdrantCluster {subject.cluster!r} is being deleted"
    if found is None or found["metadata"]["uid"] != subject.cluster_uid:
        return f"the QdrantCluster {subject.cluster!r} that they are a backup of does not exist any more"
    return None


async def _nothing_else(context: Context, subject: Subject) -> str | None:
    """Retention counted others when it decided; what was deleted since may have been the last of them."""
    others = await context.kubernetes.list(Kind.SNAPSHOT, subject.namespace, {})
    for other in others:
        going = "deletionTimestamp" in other["metadata"]
        same = status_of(other).cluster_uid == subject.cluster_uid
        if same and not going and phase_of(other).good:
            return None
    return f"they are the last backup of QdrantCluster {subject.cluster!r}"
