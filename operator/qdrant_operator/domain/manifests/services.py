"""Services, disruption budget and service account of a cluster."""

from __future__ import annotations

from qdrant_operator.domain.cluster.observed import Disruptions
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owned

REST = {"name": "rest", "port": names.REST_PORT, "targetPort": names.REST_PORT, "protocol": "TCP"}
GRPC = {"name": "grpc", "port": names.GRPC_PORT, "targetPort": names.GRPC_PORT, "protocol": "TCP"}
P2P = {"name": "p2p", "port": names.P2P_PORT, "targetPort": names.P2P_PORT, "protocol": "TCP"}


def headless_service(cluster: DesiredCluster) -> Manifest:
    """Gives each peer its name, ready or not: a joining peer needs the others before it is ready."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": names.peer_selector(cluster.name),
        "ports": [REST, GRPC, P2P],
    }
    return owned(Kind.SERVICE, cluster, names.headless_service(cluster.name), spec=spec)


def client_service(cluster: DesiredCluster) -> Manifest:
    """Sends applications to peers that are ready and not about to stop."""
    service = cluster.spec.service
    spec = {
        "type": service.type,
        "selector": {**names.peer_selector(cluster.name), names.LABEL_SERVING: "true"},
        "ports": [REST, GRPC],
    }
    manifest = owned(Kind.SERVICE, cluster, cluster.name, spec=spec)
    if service.annotations:
        manifest["metadata"]["annotations"] = dict(service.annotations)
    return manifest


def disruption_budget(cluster: DesiredCluster) -> Manifest:
    """Node drains evict one peer at a time, and none while another heals; a pod that is not ready always goes."""
    spec = {
        "maxUnavailable": cluster.disruptions.allowed,
        "selector": _counted_pods(cluster),
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return owned(Kind.DISRUPTION_BUDGET, cluster, cluster.name, spec=spec)


def read_disruptions(budget: Manifest | None) -> Disruptions | None:
    """What a PodDisruptionBudget allows; None for one that is not as `disruption_budget` writes it."""
    spec = (budget or {}).get("spec") or {}
    allowed = spec.get("maxUnavailable")
    if not isinstance(allowed, int):
        return None
    others = (spec.get("selector") or {}).get("matchExpressions") or [{}]
    return Disruptions(allowed, next(iter(others[0].get("values") or ()), None))


def _counted_pods(cluster: DesiredCluster) -> Manifest:
    selector: Manifest = {"matchLabels": names.peer_selector(cluster.name)}
    if (exempt := cluster.disruptions.exempt) is None:
        return selector
    other = {"key": names.LABEL_POD_NAME, "operator": "NotIn", "values": [exempt]}
    return {**selector, "matchExpressions": [other]}


def service_account(cluster: DesiredCluster) -> Manifest:
    """Identity of the peers' pods; they hold no token."""
    return owned(Kind.SERVICE_ACCOUNT, cluster, cluster.name, automountServiceAccountToken=False)
