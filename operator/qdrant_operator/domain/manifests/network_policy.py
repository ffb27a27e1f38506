"""The NetworkPolicy of a cluster's peers: who may send to which of their ports.

Answers are no matter of policies, and traffic from the pod's own node is always let in (NetworkPolicy's own rule),
so the kubelet's probes need no entry. Policies add up: what users allow in policies of their own stays allowed.
"""

from __future__ import annotations

import json

from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster, OperatorPods
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owned

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that Kubernetes gives every namespace: its name."""


def network_policy(cluster: DesiredCluster) -> Manifest:
    """The peer port for the peers alone; the API for every client, or for the listed ones and the operator."""
    peers = _pods(names.peer_selector(cluster.name))
    clients = cluster.spec.network_policy.clients
    api: Manifest = {"ports": [_port(names.REST_PORT), _port(names.GRPC_PORT)]}
    if clients is not None:
        api["from"] = [peers, *_ours(cluster), *(client.manifest() for client in clients)]
    spec = {
        "podSelector": {"matchLabels": names.peer_selector(cluster.name)},
        "policyTypes": ["Ingress"],
        "ingress": [api, {"ports": [_port(names.P2P_PORT)], "from": [peers]}],
    }
    manifest = owned(Kind.NETWORK_POLICY, cluster, names.network_policy(cluster.name), spec=spec)
    if clients is not None and cluster.operator is not None:
        manifest["metadata"]["annotations"] = {
            names.ANNOTATION_OPERATOR: _operator_annotation(cluster.operator)
        }
    return manifest


def operator_pods(policy: Manifest | None) -> OperatorPods | None:
    """The operator's pods as a live policy names them, for other processes; None: it names none."""
    annotations = ((policy or {}).get("metadata") or {}).get("annotations") or {}
    try:
        recorded = json.loads(annotations.get(names.ANNOTATION_OPERATOR, ""))
        return OperatorPods(str(recorded["namespace"]), dict(recorded["labels"]))
    except (ValueError, TypeError, KeyError):
        return None


def _ours(cluster: DesiredCluster) -> list[Manifest]:
    jobs = _pods(names.snapshot_selector(cluster.name))
    operator = cluster.operator
    if operator is None:
        return [jobs]
    namespace = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: operator.namespace}}}
    return [jobs, {**namespace, **(_pods(dict(operator.labels)) if operator.labels else {})}]


def _pods(labels: dict[str, str]) -> Manifest:
    return {"podSelector": {"matchLabels": labels}}


def _port(number: int) -> Manifest:
    return {"port": number, "protocol": "TCP"}


def _operator_annotation(operator: OperatorPods) -> str:
    return json.dumps({"namespace": operator.namespace, "labels": dict(operator.labels)}, sort_keys=True)
