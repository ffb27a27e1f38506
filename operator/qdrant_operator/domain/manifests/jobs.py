"""The Job that makes one backup: the operator's image, no rights, one attempt.

One attempt, because the QdrantSnapshot is the attempt: a failed one is reported, and the next is another object.
"""

from __future__ import annotations

from hashlib import sha256

from qdrant_operator.domain import names
from qdrant_operator.domain.instruction import (
    INSTRUCTION,
    QDRANT_KEY,
    RESULT_FILE,
    RESULT_PATH,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    S3_SESSION_TOKEN,
    Instruction,
)
from qdrant_operator.domain.manifests.common import owner_reference
from qdrant_operator.domain.storage import ACCESS_KEY, SECRET_KEY, SESSION_KEY
from qdrant_operator.domain.wire import Kind, Manifest

USER = 65532
"""The unprivileged user of the operator's image."""
GRACE_SECONDS = 60
"""For a stopped run to delete the files it made on the peers and in storage."""
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


def snapshot_job(
    instruction: Instruction, image: str, *, service_account: str, authenticated: bool
) -> Manifest:
    """The Job of one QdrantSnapshot.

    Args:
        instruction: what it is to do; also names and owns it.
        image: the operator's own image.
        service_account: the pod's identity for storage without a Secret; it gets no token for Kubernetes.
        authenticated: the peers want an API key.
    """
    labels = snapshot_labels(instruction.cluster, instruction.snapshot)
    pod = _pod(instruction, image, service_account, authenticated=authenticated)
    return {
        "apiVersion": Kind.JOB.api_version,
        "kind": Kind.JOB.kind,
        "metadata": {
            "name": job_name(instruction.snapshot, instruction.run),
            "namespace": instruction.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(Kind.SNAPSHOT, instruction.snapshot, instruction.run)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _pod(instruction: Instruction, image: str, service_account: str, *, authenticated: bool) -> Manifest:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "snapshot",
                "image": image,
                "args": ["snapshot", "run"],
                "env": _environment(instruction, authenticated=authenticated),
                "terminationMessagePath": RESULT_PATH,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                # Memory is buffers: parallel uploads of a few parts each.
                "resources": {
                    "requests": {"cpu": "100m", "memory": "160Mi"},
                    "limits": {"memory": "512Mi"},
                },
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


def _environment(instruction: Instruction, *, authenticated: bool) -> list[Manifest]:
    environment: list[Manifest] = [
        {"name": INSTRUCTION, "value": instruction.dump()},
        {"name": RESULT_FILE, "value": RESULT_PATH},
    ]
    if authenticated:
        key = names.peer_auth_secret(instruction.cluster)
        environment.append(_from_secret(QDRANT_KEY, key, "api-key"))
    if secret := instruction.place.secret:
        environment.append(_from_secret(S3_ACCESS_KEY, secret, ACCESS_KEY))
        environment.append(_from_secret(S3_SECRET_KEY, secret, SECRET_KEY))
        environment.append(_from_secret(S3_SESSION_TOKEN, secret, SESSION_KEY, optional=True))
    return environment


def _from_secret(variable: str, secret: str, key: str, *, optional: bool = False) -> Manifest:
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}
