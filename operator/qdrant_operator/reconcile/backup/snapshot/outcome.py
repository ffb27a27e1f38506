"""What became of a snapshot's Job: read from its conditions, its pod's last words, and the storage.

The manifest in storage decides: where it is, there is a backup, whatever became of the pod after writing it.
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
    """The Job is over, and all of its pods with it."""
    return _condition(job, "Complete") is not None or _condition(job, "Failed") is not None


def run_ended(job: Manifest, pod: Manifest | None) -> bool:
    """The run is over: its own container has ended, although another one in its pod may run on."""
    return ended(job) or (pod is not None and own_state(pod).get("terminated") is not None)


def own_state(pod: Manifest) -> Manifest:
    """State of the container that makes the backup, as the kubelet reports it; empty before its first report."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == CONTAINER:
            return status.get("state") or {}
    return {}


async def outcome(context: Context, subject: Subject, job: Manifest, *, overdue: bool = False) -> Result:
    """How a run that is over ended, or one that is `overdue` and is not awaited any longer.

    Raises:
        Retryable: only the storage could say, and it does not answer.
    """
    pod = run_pod(context, subject, job)
    told = load_result(_last_words(pod))
    late = _too_late(subject) if overdue or _deadline_exceeded(job) else None
    if told and not told.stored and told.reason != "Unreachable" and late is None:
        return told
    if told and told.stored and told.collections:
        return told
    try:
        return await _stored(context, subject) or late or told or _killed(job, pod)
    except Refused as error:
        # Without a way into the storage the Job's own word must do: a Job that completed wrote its manifest.
        return late or told or (_unread(subject, error) if _condition(job, "Complete") else _killed(job, pod))


async def progress(context: Context, subject: Subject) -> str | None:
    """How far a running Job is; None when that is not known now, which harms nobody."""
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
            f"{subject.location}{MANIFEST} was written by another run: it is no result of this QdrantSnapshot",
        )
    return result_of(manifest, verified=subject.verifies)


def _unread(subject: Subject, error: Refused) -> Result:
    return Result(
        "Complete", f"the Job completed; its manifest at {subject.location} was not read: {error.message}"
    )


def _killed(job: Manifest, pod: Manifest | None) -> Result:
    """A run that could not say anything."""
    dead = _terminated(pod) if pod else None
    if dead and dead.get("reason") == "OOMKilled":
        why = "its pod ran out of memory"
    elif dead:
        words = f": {' '.join(dead['message'].split())[:300]}" if dead.get("message") else ""
        reason = dead.get("reason") or "no reason given"
        why = f"its pod ended with exit code {dead.get('exitCode')} ({reason}{words})"
    else:
        why = (_condition(job, "Failed") or {}).get("message") or "its pod is gone"
    return Result("JobFailed", f"the run was killed: {why}; there is no manifest, so there is no backup")


def _deadline_exceeded(job: Manifest) -> bool:
    return (_condition(job, "Failed") or {}).get("reason") == "DeadlineExceeded"


def _too_late(subject: Subject) -> Result:
    seconds = subject.spec.job.active_deadline_seconds
    return Result(
        "DeadlineExceeded",
        f"the run did not end within {seconds} s (spec.job.activeDeadlineSeconds); last progress:"
        f" {subject.status.progress or 'none'}; raise the deadline if the data needs longer, or see the"
        " log of its pod",
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


def _last_words(pod: Manifest | None) -> str | None:
    dead = _terminated(pod) if pod else None
    return dead.get("message") if dead else None


def _condition(job: Manifest, kind: str) -> Manifest | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    found = (one for one in conditions if one.get("type") == kind and one.get("status") == "True")
    return next(found, None)
