"""Evidence that a pod does not have the volume of its peer: another claim, or a container that Qdrant ends.

A pod that does not answer is no evidence. Nor is one that answers with another peer id: its address may belong to
another pod by then.
"""

from __future__ import annotations

from datetime import datetime

from qdrant_operator.domain.cluster.observed import Observed, PeerRecord, PodState
from qdrant_operator.domain.common.names import claim_of

STILL_IN_CLUSTER = "still has shards"
"""Last output of a server that starts on an empty volume under the URI of a peer that holds shards."""


def is_refused(pod: PodState) -> bool:
    """Whether its server ended because a peer with its URI holds shards: the pod does not have that peer's volume.

    Qdrant requests to join only where the volume has no Raft state.
    """
    return pod.waiting == "CrashLoopBackOff" and STILL_IN_CLUSTER in pod.message


def is_lost(record: PeerRecord, observed: Observed) -> bool:
    """Whether this observation alone shows that the pod has another or an empty volume."""
    volume = observed.volumes.get(claim_of(record.pod))
    replaced = volume is not None and volume.uid != record.claim_uid
    return replaced or any(pod.name == record.pod and is_refused(pod) for pod in observed.pods)


def starts_again(record: PeerRecord, observed: Observed) -> bool:
    """Whether the pod that was refused is still the same one, between two starts of its container.

    The volume of an existing pod cannot be restored, so `lost_since` is kept. A later pod may have the old volume.
    """
    volume = observed.volumes.get(claim_of(record.pod))
    pod = next((pod for pod in observed.pods if pod.name == record.pod), None)
    if record.lost_since is None or pod is None or volume is None or volume.uid != record.claim_uid:
        return False
    return bool(pod.created) and datetime.fromisoformat(pod.created) <= record.lost_since
