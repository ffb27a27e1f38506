"""Before a snapshot's Job is created: everything that would make it fail is checked and reported.

Nothing is written here. What is wrong may be corrected: the snapshot waits for a while before it fails.
"""

from __future__ import annotations

from datetime import timedelta

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import Result
from qdrant_operator.domain.backup.retention import chosen_collections
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.child_progress import Hindrance
from qdrant_operator.domain.common.errors import Retryable
from qdrant_operator.domain.manifests.jobs import snapshot_job
from qdrant_operator.reconcile.access import address, cluster_access
from qdrant_operator.reconcile.backup.snapshot.subject import Subject, moment
from qdrant_operator.reconcile.backup.storage import check_endpoint, open_storage, probe
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.child_events import child_refusal, pod_trouble
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.spec import read_spec

BUSY = frozenset({"Updating", "Scaling"})
"""Phases of a QdrantCluster in which pods restart or replicas move."""
ROLL_PATIENCE = timedelta(minutes=10)
"""How long a new backup waits for them."""


async def wanted_job(context: Context, subject: Subject) -> tuple[Manifest, str]:
    """The Job of a snapshot whose prerequisites are met, and the uid of its QdrantCluster.

    Raises:
        Refused: `ClusterNotFound`, `EndpointNotAllowed`, `SecretNotFound`, `SecretKeyNotFound`, `SecretEmpty`,
            `SecretValueInvalid`, `BucketUnreachable`, `BucketNotFound`, `CredentialsRefused`, `NothingToSnapshot`,
            or `InvalidSpec` of the QdrantCluster.
        Retryable: the cluster has not formed, or does not answer.
    """
    access = await cluster_access(context.kubernetes, subject.namespace, subject.cluster)
    _wait_for_roll(context, subject, access.cluster)
    check_endpoint(context, subject.place)
    # With the pod's own identity only the pod can find out whether it has access to the bucket.
    if subject.place.secret is not None:
        await probe(await open_storage(context, subject.namespace, subject.place), subject.place)
    chosen_collections(await context.qdrant.collections(access.any), subject.spec.collections)
    spec = read_spec(ClusterSpec, access.cluster["spec"], of=f"QdrantCluster {subject.cluster!r}: ")
    job = snapshot_job(
        _job_spec(context, subject, str(access.cluster["metadata"]["uid"])),
        context.options.operator_image,
        spec,
        subject.spec.job,
    )
    return job, str(access.cluster["metadata"]["uid"])


async def start_problem(context: Context, job: Manifest, pod: Manifest | None) -> Hindrance | None:
    """Why a Job's pod does not start, as Kubernetes reports it; None when it reports nothing."""
    if pod is None:
        return await child_refusal(context.kubernetes, job)
    return await pod_trouble(context.kubernetes, pod)


def not_started(subject: Subject, job: Manifest, problem: Hindrance | None) -> Result:
    """Why there is no run, with the remedy."""
    fields = {
        "resources": "spec.job.resources",
        "pull_secrets": "spec.image.pullSecrets of the QdrantCluster",
    }
    cause = f"{problem.words}; {problem.remedy(**fields)}" if problem else "see kubectl describe job"
    since = job["metadata"]["creationTimestamp"]
    return Result(
        "JobNotStarted", f"the pod of job {subject.job}, created at {since}, does not start: {cause}"
    )


def _wait_for_roll(context: Context, subject: Subject, cluster: Manifest) -> None:
    """Restarts and moves wait for backups, so a backup waits for those that have begun, for a bounded time."""
    phase = (cluster.get("status") or {}).get("phase")
    age = context.clock.now() - moment(subject.manifest["metadata"]["creationTimestamp"])
    if phase in BUSY and age < ROLL_PATIENCE:
        raise Retryable(f"QdrantCluster {subject.cluster!r} is {phase}: waiting up to 10 min")


def _job_spec(context: Context, subject: Subject, cluster_uid: str) -> JobSpec:
    return JobSpec(
        namespace=subject.namespace,
        cluster=subject.cluster,
        cluster_uid=cluster_uid,
        snapshot=subject.name,
        run=subject.uid,
        collections=tuple(subject.spec.collections),
        verify=subject.verifies,
        place=subject.place,
        peers=_peers(context, subject),
    )


def _peers(context: Context, subject: Subject) -> tuple[PeerAddress, ...]:
    """Every running peer by its stable name: the Service's address may lead to any of them."""
    pods = context.kubernetes.cached(Kind.POD, subject.namespace, names.peer_selector(subject.cluster))
    running = sorted(pod["metadata"]["name"] for pod in pods if address(pod))
    return tuple(PeerAddress(pod, _url(subject, pod)) for pod in running)


def _url(subject: Subject, pod: str) -> str:
    return names.rest_url(names.peer_host(subject.cluster, subject.namespace, pod))
