"""What shows that the volume under a member's name is not the member's: another claim, or the refusal of its pod.

A pod that does not answer shows nothing. Nor does one that answers with another peer id: its address may belong to
another pod by now.
"""

from __future__ import annotations

from datetime import datetime

from qdrant_operator.domain.cluster.observed import Member, Observed, PodState
from qdrant_operator.domain.common.names import claim_of

STILL_MEMBER = "still has shards"
"""What a server says that starts on an empty volume under the URI of a member that holds shards."""


def is_refused(pod: PodState) -> bool:
    """Whether its server ended because a member of its name holds shards: the pod's volume is not that member's.

    Qdrant asks for admission only where the volume has no Raft state.
    """
    return pod.waiting == "CrashLoopBackOff" and STILL_MEMBER in pod.message


def is_lost(member: Member, observed: Observed) -> bool:
    """Whether this observation alone shows that the pod has another or an empty volume."""
    volume = observed.volumes.get(claim_of(member.pod))
    replaced = volume is not None and volume.uid != member.claim_uid
    return replaced or any(pod.name == member.pod and is_refused(pod) for pod in observed.pods)


def starts_again(member: Member, observed: Observed) -> bool:
    """Whether the pod that was refused is still the same one, between two starts of its container.

    No volume is put back under a pod that exists, so its date stays. A later pod may have the old volume.
    """
    volume = observed.volumes.get(claim_of(member.pod))
    pod = next((pod for pod in observed.pods if pod.name == member.pod), None)
    if member.lost_since is None or pod is None or volume is None or volume.uid != member.claim_uid:
        return False
    return bool(pod.created) and datetime.fromisoformat(pod.created) <= member.lost_since
