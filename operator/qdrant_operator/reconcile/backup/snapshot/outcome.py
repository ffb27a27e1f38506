"""The result of a snapshot's Job, from its conditions, its pod's termination message, and the storage.

The manifest in storage decides: where it is, there is a backup, whatever happened to the pod after writing it.
"""

from __future__ import annotations

from qdrant_operator.domain.backup.journal import Result, load_journal, load_result, result_of
from qdrant_operator.domain.backup.manifest import load_manifest
from qdrant_operator.domain.backup.storage import MANIFEST
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.manifests.jobs import CONTAINER, snapshot_labels
from qdrant_operator.reconcile.backup.snapshot.subject import Subject
from qdrant_operator.reconcile.backup.storage import open_storage
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


def ended(job: Manifest) -> bool:
    """Whether the Job has ended, and all of its pods with it."""
    return _condition(job, "Complete") is not None or _condition(job, "Failed") is not None


def run_ended(job: Manifest, pod: Manifest | None) -> bool:
    """Whether the run has ended: its own container has, although another one in its pod may still run."""
    return ended(job) or (pod is not None and own_state(pod).get("terminated") is not None)


def own_state(pod: Manifest) -> Manifest:
    """State of the container that takes the backup, as the kubelet reports it; empty before its first report."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == CONTAINER:
            return status.get("state") or {}
    return {}


async def outcome(context: Context, subject: Subject, job: Manifest, *, overdue: bool = False) -> Result:
    """The result of a run that has ended, or of one that is `overdue` and no longer waited for.

    Raises:
        Retryable: only the storage knows, and it does not answer.
    """
    pod = run_pod(context, subject, job)
    reported = load_result(_termination_message(pod))
    late = _too_late(subject) if overdue or _deadline_exceeded(job) else None
    if reported and not reported.stored and reported.reason != "Unreachable" and late is None:
        return reported
    if reported and reported.stored and reported.collections:
        return reported
    try:
        return await _stored(context, subject) or late or reported or _killed(job, pod)
    except Refused as error:
        # Without access to the storage the Job's condition decides: a Job that completed has written its manifest.
        return (
            late
            or reported
            or (_unread(subject, error) if _condition(job, "Complete") else _killed(job, pod))
        )


async def progress(context: Context, subject: Subject) -> str | None:
    """How far a running Job is; None when that is not known now."""
    if subject.place.secret is None:
        return None
    try:
        storage = await open_storage(context, subject.namespace, subject.place)
        journal = load_journal(await storage.read(subject.journal) or b"")
    except (Refused, Retryable):
        return None
    return journal.progress if journal else None


async def _stored(context: Context, subject: Subject) -> Result | None:
    storage = await open_storage(context, subject.namespace, subject.place)
    content = await storage.read(f"{subject.folder}{MANIFEST}")
    if content is None:
        return None
    manifest = load_manifest(content, f"{subject.location}{MANIFEST}")
    if manifest.owner.snapshot_uid != subject.uid:
        raise Refused(
            "LocationOccupied",
            f"{subject.location}{MANIFEST} was written by another run, not by this QdrantSnapshot",
        )
    return result_of(manifest, verified=subject.verifies)


def _unread(subject: Subject, error: Refused) -> Result:
    return Result(
        "Complete",
        f"the Job completed, but its manifest at {subject.location} cannot be read: {error.message}",
    )


def _killed(job: Manifest, pod: Manifest | None) -> Result:
    """A run that left no result."""
    dead = _terminated(pod) if pod else None
    if dead and dead.get("reason") == "OOMKilled":
        why = "its pod ran out of memory"
    elif dead:
        words = f": {' '.join(dead['message'].split())[:300]}" if dead.get("message") else ""
        reason = dead.get("reason") or "no reason given"
        why = f"its pod ended with exit code {dead.get('exitCode')} ({reason}{words})"
    else:
        why = (_condition(job, "Failed") or {}).get("message") or "its pod is gone"
    return Result("JobFailed", f"the run was killed: {why}; it wrote no manifest, so there is no backup")


def _deadline_exceeded(job: Manifest) -> bool:
    return (_condition(job, "Failed") or {}).get("reason") == "DeadlineExceeded"


def _too_late(subject: Subject) -> Result:
    seconds = subject.spec.job.active_deadline_seconds
    return Result(
        "DeadlineExceeded",
        f"the run did not end within {seconds} s (spec.job.activeDeadlineSeconds); last progress:"
        f" {subject.status.progress or 'none'}; raise it if the data needs longer, or see the log of"
        " its pod",
    )


def run_pod(context: Context, subject: Subject, job: Manifest) -> Manifest | None:
    """The Job's pod, as the cache shows it."""
    labels = snapshot_labels(subject.cluster, subject.name)
    pods = context.kubernetes.cached(Kind.POD, subject.namespace, labels)
    owned = [pod for pod in pods if _owned(pod, job)]
    return owned[-1] if owned else None


def _owned(pod: Manifest, job: Manifest) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == job["metadata"]["uid"] for owner in owners)


def _terminated(pod: Manifest) -> Manifest | None:
    found: Manifest | None = own_state(pod).get("terminated")
    return found


def _termination_message(pod: Manifest | None) -> str | None:
    dead = _terminated(pod) if pod else None
    return dead.get("message") if dead else None


def _condition(job: Manifest, kind: str) -> Manifest | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    found = (
        condition
        for condition in conditions
        if condition.get("type") == kind and condition.get("status") == "True"
    )
    return next(found, None)
