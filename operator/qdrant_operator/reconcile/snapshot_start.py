"""Before a snapshot's Job is made: everything that would make it fail is looked at, and named.

Nothing is written here. What is wrong may be put right: the snapshot waits a while before it fails.
"""

from __future__ import annotations

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain import names
from qdrant_operator.domain.backups import chosen_collections
from qdrant_operator.domain.instruction import Instruction, PeerAddress
from qdrant_operator.domain.manifests.jobs import snapshot_job
from qdrant_operator.reconcile.access import address, cluster_access
from qdrant_operator.reconcile.backup_storage import check_endpoint, open_storage, probe
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.snapshot_subject import Subject
from qdrant_operator.reconcile.world import World


async def wanted_job(world: World, subject: Subject) -> Manifest:
    """The Job of a snapshot whose prerequisites are all there.

    Raises:
        Refused: `ClusterNotFound`, `EndpointNotAllowed`, `SecretNotFound`, `SecretKeyNotFound`, `SecretEmpty`,
            `SecretValueInvalid`,
            `BucketUnreachable`, `BucketNotFound`, `CredentialsRefused` or `NothingToSnapshot`.
        Retryable: the cluster has not formed, or does not answer.
    """
    access = await cluster_access(world.kubernetes, subject.namespace, subject.cluster)
    check_endpoint(world, subject.place)
    # With the pod's own identity only the pod can tell whether the bucket lets it in.
    if subject.place.secret is not None:
        await probe(await open_storage(world, subject.namespace, subject.place), subject.place)
    chosen_collections(await world.qdrant.collections(access.any), subject.spec.collections)
    spec = ClusterSpec.model_validate(access.cluster["spec"])
    return snapshot_job(
        _instruction(world, subject, str(access.cluster["metadata"]["uid"])),
        world.options.operator_image,
        service_account=spec.pod_template.spec.service_account_name or subject.cluster,
        authenticated=not spec.auth.disabled,
    )


def _instruction(world: World, subject: Subject, cluster_uid: str) -> Instruction:
    return Instruction(
        namespace=subject.namespace,
        cluster=subject.cluster,
        cluster_uid=cluster_uid,
        snapshot=subject.name,
        run=subject.uid,
        collections=tuple(subject.spec.collections),
        verify=subject.verifies,
        place=subject.place,
        peers=_peers(world, subject),
    )


def _peers(world: World, subject: Subject) -> tuple[PeerAddress, ...]:
    """Every running peer by its stable name: the Service's address could be any of them."""
    pods = world.kubernetes.cached(Kind.POD, subject.namespace, names.peer_selector(subject.cluster))
    running = sorted(pod["metadata"]["name"] for pod in pods if address(pod))
    return tuple(PeerAddress(pod, _url(subject, pod)) for pod in running)


def _url(subject: Subject, pod: str) -> str:
    return names.rest_url(names.peer_host(subject.cluster, subject.namespace, pod))
