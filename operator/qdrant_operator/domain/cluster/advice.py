"""Settings that work and that production should not have: status.advice of a QdrantCluster.

Pure. Advice blocks nothing; it disappears with its cause.
"""

from __future__ import annotations

from qdrant_operator.api.cluster.status import Advice
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common.text import named

LABEL_THEM = (
    "set it on the pods; Kubernetes 1.35 and later copies topology.kubernetes.io/zone from their nodes"
)


def advice(desired: DesiredCluster, observed: Observed) -> tuple[Advice, ...]:
    """Each entry has a reason, the finding and the remedy."""
    found = {
        "NoQuorumMargin": _quorum_margin(desired),
        "NoApiKey": _api_key(desired),
        "ZoneUnknown": _zones(desired.spec.shards.zone_key, observed),
    }
    return tuple(Advice(reason=reason, message=message) for reason, message in found.items() if message)


def _quorum_margin(desired: DesiredCluster) -> str:
    return "2 peers: losing either one stops consensus; use 3" if desired.spec.replicas == 2 else ""


def _api_key(desired: DesiredCluster) -> str:
    if not desired.spec.auth.disabled:
        return ""
    return "spec.auth.disabled is true: every client that reaches the Service may read, write and delete"


def _zones(label: str | None, observed: Observed) -> str:
    """Running pods without the zone label that the spec names."""
    running = [pod for pod in observed.pods if pod.ready and not pod.terminating]
    unlabelled = [pod.name for pod in running if not pod.zone]
    if label is None or not unlabelled:
        return ""
    if len(unlabelled) == len(running):
        return f"no pod has the label {label} (spec.shards.zoneKey): shards are not spread; {LABEL_THEM}"
    return (
        f"without the label {label} (spec.shards.zoneKey): {named(unlabelled)}; such pods count as one zone of their "
        f"own, wherever they are; {LABEL_THEM}"
    )
