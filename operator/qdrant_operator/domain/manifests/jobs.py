"""The Job that makes one backup: the operator's image, no rights, one attempt.

One attempt, because the QdrantSnapshot is the attempt: a failed one is reported, and the next is another object.
"""

from __future__ import annotations

from hashlib import sha256

from qdrant_operator.api import ClusterSpec, SnapshotJob
from qdrant_operator.domain.backup.job_spec import (
    JOB_SPEC,
    QDRANT_KEY,
    RESULT_FILE,
    RESULT_PATH,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    S3_SESSION_TOKEN,
    JobSpec,
)
from qdrant_operator.domain.backup.storage import ACCESS_KEY, SECRET_KEY, SESSION_KEY
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owner_reference

USER = 65532
"""The unprivileged user of the operator's image."""
GRACE_SECONDS = 60
"""For a stopped run to delete the files it made on the peers and in storage."""
CONTAINER = "snapshot"
"""The container that makes the backup; others may have been put beside it by an admission webhook."""
LABEL_CHARACTERS = 63
NAME_CHARACTERS = 40
"""Of the snapshot's name in the Job's: its pods' names must stay within a label's length."""


def job_name(snapshot: str, uid: str) -> str:
    """Name of a snapshot's only Job: the same at every look, another for another object of the same name."""
    readable = snapshot[:NAME_CHARACTERS].rstrip("-.").replace(".", "-")
    return f"{readable}-{sha256(uid.encode()).hexdigest()[:10]}"


def snapshot_labels(cluster: str, snapshot: str) -> dict[str, str]:
    """Labels of a Job and its pod. They match no selector of the peers' Services."""
    return {
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        **names.snapshot_selector(cluster),
        names.LABEL_SNAPSHOT: snapshot[:LABEL_CHARACTERS].rstrip("-."),
    }


def snapshot_job(job_spec: JobSpec, image: str, cluster: ClusterSpec, settings: SnapshotJob) -> Manifest:
    """The Job of one QdrantSnapshot.

    Args:
        job_spec: what it is to do; also names and owns it.
        image: the operator's own image.
        cluster: where the peers' pods may run, and as whom: the run's pod goes the same way, but it gets no token
            for Kubernetes. Its ServiceAccount is the identity for storage without a Secret.
        settings: the Job's own.
    """
    labels = snapshot_labels(job_spec.cluster, job_spec.snapshot)
    pod = _pod(job_spec, image, cluster, settings)
    return {
        "apiVersion": Kind.JOB.api_version,
        "kind": Kind.JOB.kind,
        "metadata": {
            "name": job_name(job_spec.snapshot, job_spec.run),
            "namespace": job_spec.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(Kind.SNAPSHOT, job_spec.snapshot, job_spec.run)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": settings.active_deadline_seconds,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _pod(job_spec: JobSpec, image: str, cluster: ClusterSpec, settings: SnapshotJob) -> Manifest:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": cluster.pod_template.spec.service_account_name or job_spec.cluster,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_whereabouts(cluster),
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "args": ["snapshot", "run"],
                "env": _environment(job_spec, authenticated=not cluster.auth.disabled),
                "terminationMessagePath": RESULT_PATH,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "resources": settings.resources.manifest(),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 (inside the pod)
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _whereabouts(cluster: ClusterSpec) -> Manifest:
    """What lets the peers' pods start in this namespace lets the run's pod start too."""
    given = cluster.pod_template.spec.manifest()
    found = {key: given.get(key) for key in ("nodeSelector", "tolerations")}
    found["imagePullSecrets"] = [secret.manifest() for secret in cluster.image.pull_secrets]
    return {key: value for key, value in found.items() if value}


def _environment(job_spec: JobSpec, *, authenticated: bool) -> list[Manifest]:
    environment: list[Manifest] = [
        {"name": JOB_SPEC, "value": job_spec.dump()},
        {"name": RESULT_FILE, "value": RESULT_PATH},
    ]
    if authenticated:
        key = names.peer_auth_secret(job_spec.cluster)
        environment.append(_from_secret(QDRANT_KEY, key, "api-key"))
    if secret := job_spec.place.secret:
        environment.append(_from_secret(S3_ACCESS_KEY, secret, ACCESS_KEY))
        environment.append(_from_secret(S3_SECRET_KEY, secret, SECRET_KEY))
        environment.append(_from_secret(S3_SESSION_TOKEN, secret, SESSION_KEY, optional=True))
    return environment


def _from_secret(variable: str, secret: str, key: str, *, optional: bool = False) -> Manifest:
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}
