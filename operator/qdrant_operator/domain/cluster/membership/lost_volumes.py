"""A member whose volume is gone: it can never come back, and only by force can it be taken out.

Force asks nothing: replicas on the peer go, even the only ones. So it needs somebody's consent, a sound replica
elsewhere of every shard, and a majority without the peer. Where no majority has its volume any more nobody can be
removed or join: only old volumes, or a new cluster, are a way out, and both are the user's.
"""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.membership.identity import is_member, ordinal_of
from qdrant_operator.domain.cluster.membership.lost_evidence import is_lost, is_refused
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.observed import Member, Observed
from qdrant_operator.domain.cluster.pods.rollout import is_down
from qdrant_operator.domain.cluster.steps import NOTHING, ClusterPlan, RemovePeer, RestartPod
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.names import claim_name
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.text import counted, named
from qdrant_operator.domain.common.timing.durations import duration
from qdrant_operator.domain.placement.model import Layout
from qdrant_operator.domain.placement.preflight import lost_with
from qdrant_operator.domain.qdrant.views import PeerId

WHY = "its volume is gone"


def consented(desired: DesiredCluster, observed: Observed, pods: Mapping[PeerId, str]) -> frozenset[PeerId]:
    """Members whose volume is gone and that may be removed by force."""
    known = (member for member in observed.members_known if member.peer in pods)
    lost = (member for member in known if member.lost_since and is_lost(member, observed))
    return frozenset(member.peer for member in lost if _may_replace(desired, observed, member))


def _may_replace(desired: DesiredCluster, observed: Observed, member: Member) -> bool:
    shards = desired.spec.shards
    if member.peer in shards.replace_lost_peers:
        return True
    if shards.replace_lost_peer_after is None or observed.now is None or member.lost_since is None:
        return False
    return observed.now - member.lost_since >= duration(shards.replace_lost_peer_after)


def plan_lost(desired: DesiredCluster, observed: Observed, layout: Layout) -> ClusterPlan:
    """Replace peers whose volume is gone, or say what that needs."""
    without_majority = _without_majority(desired.name, observed)
    if without_majority:
        return Plan(blocked=(without_majority,))
    lost = (m for m in observed.members_known if m.lost_since and is_member(observed, m.peer))
    plans = [_plan(desired, observed, layout, member) for member in lost]
    steps = tuple(step for plan in plans for step in plan.steps)
    return Plan(steps[:1], tuple(wait for plan in plans for wait in plan.blocked)) + _rejoin(observed, layout)


def _without_majority(cluster: str, observed: Observed) -> Blocked | None:
    """Too few volumes of the recorded members are left for any leader."""
    records = observed.members_known
    gone = [member for member in records if _is_gone(cluster, observed, member)]
    left = len(records) - len(gone)
    if not gone or left * 2 > len(records):
        return None
    claims = [claim_name(cluster, ordinal_of(member.pod)) for member in gone]
    message = (
        f"the volumes of {counted(len(gone), 'peer')} of {len(records)} are gone (claims {named(claims)}), and "
        f"{left} of {len(records)} are no majority: the peers cannot elect a leader. Bring old volumes back under "
        "these claim names until more than half of the peers have theirs. If no old volume exists, save what the "
        "other peers still hold, delete the QdrantCluster and then its claims, create it again, and restore the "
        "collections from a backup"
    )
    return Blocked("elect a leader", ClusterGuard.VOLUME_LOST, message)


def _is_gone(cluster: str, observed: Observed, member: Member) -> bool:
    """Its claim is missing, another one or empty, its peer does not answer, and its pod cannot start.

    A peer that comes up under another claim has its old volume back.
    """
    if not member.claim_uid or any(view.peer == member.peer for view in observed.peers.values()):
        return False
    volume = observed.volumes.get(claim_name(cluster, ordinal_of(member.pod)))
    pod = next((pod for pod in observed.pods if pod.name == member.pod), None)
    gone = volume is None or is_lost(member, observed)
    return gone and (pod is None or is_down(pod))


def _plan(desired: DesiredCluster, observed: Observed, layout: Layout, member: Member) -> ClusterPlan:
    step = RemovePeer(member.peer, member.pod, force=True, why=WHY)
    claim = claim_name(desired.name, int(member.pod.rpartition("-")[2]))
    lost = lost_with(layout, member.peer)
    if lost:
        message = (
            f"claim {claim} has an empty volume, and peer {member.peer} held the only sound replica of "
            f"{', '.join(lost)}: bring the old volume back under this claim; only if it is gone for good, save what "
            "the other shards hold and delete these collections in Qdrant"
        )
        return _wait(step, ClusterGuard.VOLUME_LOST, message)
    if not _may_replace(desired, observed, member):
        message = (
            f"claim {claim} has an empty volume and peer {member.peer} can never come back; every shard of it "
            f"has another sound replica: add {member.peer} to spec.shards.replaceLostPeers, or set "
            "spec.shards.replaceLostPeerAfter"
        )
        return _wait(step, ClusterGuard.CONSENT_NEEDED, message)
    if not is_lost(member, observed):
        return NOTHING
    reason = why_not_remove(step, layout)
    return _wait(step, ClusterGuard.QUORUM_AT_RISK, f"{reason}: waiting") if reason else Plan((step,))


def _wait(step: RemovePeer, guard: ClusterGuard, message: str) -> ClusterPlan:
    return Plan(blocked=(Blocked(str(step), guard, message),))


def _rejoin(observed: Observed, layout: Layout) -> ClusterPlan:
    """A pod that was refused for its old peer's sake need not wait for the end of the kubelet's back-off."""
    inside = {peer.id for peer in layout.peers}
    free = {member.pod for member in observed.members_known if member.peer not in inside}
    for pod in observed.pods:
        if pod.terminating or pod.name not in free:
            continue
        if is_refused(pod):
            return Plan((RestartPod(pod.name, pod.uid, "its old peer was removed, so it can join"),))
    return NOTHING
