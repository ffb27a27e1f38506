"""The StatefulSet of a cluster's peers.

Parallel, because a booting peer needs the others' addresses to become ready; OnDelete, because the operator
decides which pod restarts when. Claims keep the names that a plain StatefulSet gives them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owned
from qdrant_operator.domain.manifests.config import OWN, qdrant_config
from qdrant_operator.domain.manifests.diff import fingerprint
from qdrant_operator.domain.manifests.owned_settings import owned_environment
from qdrant_operator.domain.manifests.secrets import PEER_KEY, PEER_READ_ONLY_KEY
from qdrant_operator.domain.manifests.start_script import INIT_PATH, OPERATOR_PATH, STORAGE_PATH

QDRANT_USER = 1000
"""User of the unprivileged variant of Qdrant's image; any other would do, the server needs no user entry."""
TERMINATION_GRACE_SECONDS = 120
"""Qdrant drains requests for up to 30 s and flushes; a hard kill has damaged write-ahead logs."""
DRAIN_SECONDS = 3
"""Pause before SIGTERM in which proxies learn that the pod is going (evictions do not ask the operator)."""

API_KEY_VARIABLE = "QDRANT__SERVICE__API_KEY"
"""Where Qdrant reads the key from that every client must send."""


def stateful_set(cluster: DesiredCluster) -> Manifest:
    """The StatefulSet as it should be now."""
    spec = {
        "replicas": cluster.pod_count,
        "serviceName": names.headless_service(cluster.name),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        # Volumes go with the QdrantCluster (owner references), never with a StatefulSet that a user deletes.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": names.peer_selector(cluster.name)},
        "template": pod_template(cluster),
        "volumeClaimTemplates": [_claim(cluster)],
    }
    return owned(Kind.STATEFUL_SET, cluster, cluster.name, spec=spec)


def pod_template(cluster: DesiredCluster) -> Manifest:
    """The pods' template with its hash; the permission to start alone is no part of the hash."""
    template = _template(cluster)
    template["metadata"]["annotations"][names.ANNOTATION_TEMPLATE] = fingerprint(template)
    first = {"name": "QDRANT_FIRST_POD", "value": cluster.first_pod}
    template["spec"]["containers"][0]["env"].append(first)
    return template


def has_api_key(found: Manifest) -> bool:
    """Whether the pods of a StatefulSet that is there run with a key."""
    variables = found["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    return any(variable["name"] == API_KEY_VARIABLE for variable in variables)


def template_hash(cluster: DesiredCluster) -> str:
    """Hash that a pod of the wanted template carries."""
    return str(pod_template(cluster)["metadata"]["annotations"][names.ANNOTATION_TEMPLATE])


def _template(cluster: DesiredCluster) -> Manifest:
    given = cluster.spec.pod_template.metadata
    labels = {**names.cluster_labels(cluster.name), **names.peer_selector(cluster.name)}
    return {
        "metadata": {
            "labels": {**given.labels, **labels, names.LABEL_SERVING: "true"},
            "annotations": {**given.annotations, f"{names.GROUP}/config-hash": _config_hash(cluster)},
        },
        "spec": _pod_spec(cluster),
    }


def _config_hash(cluster: DesiredCluster) -> str:
    keys = cluster.credentials
    parts = [qdrant_config(cluster), bool(keys.api_key), bool(keys.read_only), keys.read_only_hash]
    return fingerprint([*parts, keys.revision] if keys.revision else parts)


def _pod_spec(cluster: DesiredCluster) -> Manifest:
    spec: Manifest = {
        "serviceAccountName": cluster.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": QDRANT_USER,
            "runAsGroup": QDRANT_USER,
            "fsGroup": QDRANT_USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _apart(cluster),
        "containers": [_container(cluster)],
        "volumes": [
            {"name": "operator", "configMap": {"name": names.config_map(cluster.name)}},
            {"name": "init", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    if cluster.spec.image.pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in cluster.spec.image.pull_secrets]
    given = cluster.spec.pod_template.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    given.pop("env", None)
    given["topologySpreadConstraints"] = _spread(cluster, given.get("topologySpreadConstraints") or ())
    return {**spec, **{key: value for key, value in given.items() if value}}


def _spread(cluster: DesiredCluster, constraints: Iterable[Manifest]) -> list[Manifest]:
    """A constraint without a selector matches no pod in Kubernetes; here it means the peers."""
    peers = {"matchLabels": names.peer_selector(cluster.name)}
    return [{"labelSelector": peers, **constraint} for constraint in constraints]


def _apart(cluster: DesiredCluster) -> Manifest:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": names.peer_selector(cluster.name)},
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _container(cluster: DesiredCluster) -> Manifest:
    ports = (("rest", names.REST_PORT), ("grpc", names.GRPC_PORT), ("p2p", names.P2P_PORT))
    container: Manifest = {
        "name": "qdrant",
        "image": cluster.image,
        "imagePullPolicy": cluster.spec.image.pull_policy,
        "workingDir": "/qdrant",
        "command": ["/bin/sh", f"{OPERATOR_PATH}/start.sh"],
        "env": _environment(cluster),
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports],
        "readinessProbe": _readiness(),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "storage", "mountPath": STORAGE_PATH},
            {"name": "operator", "mountPath": OPERATOR_PATH, "readOnly": True},
            {"name": "init", "mountPath": INIT_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (inside the pod)
        ],
    }
    resources = cluster.spec.resources.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**container, **({"resources": resources} if any(resources.values()) else {})}


def _readiness() -> Manifest:
    """No liveness probe: all ports are closed while data loads, and a restart would only begin again.

    A follower's first answer takes 0.5 s, so the time-out leaves room.
    """
    return {
        "httpGet": {"path": "/readyz", "port": names.REST_PORT, "scheme": "HTTP"},
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "failureThreshold": 2,
        "successThreshold": 1,
    }


def _environment(cluster: DesiredCluster) -> list[dict[str, Any]]:
    peers_host = f"{names.headless_service(cluster.name)}.{cluster.namespace}.svc"
    own: list[dict[str, Any]] = [
        _from_pod("POD_NAME", "metadata.name"),
        _from_pod("POD_IPS", "status.podIPs"),
        {"name": "QDRANT_PEERS_HOST", "value": peers_host},
        {"name": "QDRANT_PEER_URI", "value": names.peer_uri(cluster.name, cluster.namespace, "$(POD_NAME)")},
        {"name": "QDRANT_INIT_FILE_PATH", "value": f"{INIT_PATH}/initialized"},
        {"name": "QDRANT_RELEASE", "value": cluster.version},
        *_keys(cluster),
    ]
    taken = {item["name"] for item in own}
    given = [{"name": item.name, "value": item.value} for item in cluster.spec.pod_template.spec.env or ()]
    settings = [{"name": name, "value": value} for name, value in owned_environment(OWN)]
    return [*own, *(item for item in given if item["name"] not in taken), *settings]


def _from_pod(variable: str, path: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _keys(cluster: DesiredCluster) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = []
    secret = names.peer_auth_secret(cluster.name)
    if cluster.credentials.api_key:
        keys.append(_from_secret(API_KEY_VARIABLE, {"name": secret, "key": PEER_KEY}))
    if cluster.credentials.read_only:
        # Optional: a pod of an older template starts without it when the spec names none any more.
        reference = {"name": secret, "key": PEER_READ_ONLY_KEY, "optional": True}
        keys.append(_from_secret("QDRANT__SERVICE__READ_ONLY_API_KEY", reference))
    return keys


def _from_secret(variable: str, reference: dict[str, Any]) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _claim(cluster: DesiredCluster) -> Manifest:
    persistence = cluster.spec.persistence
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(persistence.size)}},
        "volumeMode": "Filesystem",
    }
    if persistence.storage_class_name is not None:
        spec["storageClassName"] = persistence.storage_class_name
    return {
        "metadata": {"name": "storage", "labels": names.cluster_labels(cluster.name)},
        "spec": spec,
    }
