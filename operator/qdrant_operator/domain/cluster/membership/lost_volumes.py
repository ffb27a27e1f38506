"""Peers whose volume is lost: such a peer cannot come back, and can only be removed by force.

A removal by force checks nothing: it deletes the replicas on the peer, even the last ones. So it needs the user's
consent, a sound replica of every shard on another peer, and a majority without the peer. Where a majority has lost its
volumes, no peer can be removed or join: the user must restore old volumes or create a new cluster.
"""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.membership.identity import in_cluster, ordinal_of
from qdrant_operator.domain.cluster.membership.lost_evidence import is_lost, is_refused
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.observed import Observed, PeerRecord
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
    """Peers whose volume is lost and that may be removed by force."""
    known = (record for record in observed.records if record.peer in pods)
    lost = (record for record in known if record.lost_since and is_lost(record, observed))
    return frozenset(record.peer for record in lost if _may_replace(desired, observed, record))


def _may_replace(desired: DesiredCluster, observed: Observed, record: PeerRecord) -> bool:
    shards = desired.spec.shards
    if record.peer in shards.replace_lost_peers:
        return True
    if shards.replace_lost_peer_after is None or observed.now is None or record.lost_since is None:
        return False
    return observed.now - record.lost_since >= duration(shards.replace_lost_peer_after)


def plan_lost(desired: DesiredCluster, observed: Observed, layout: Layout) -> ClusterPlan:
    """Replace peers whose volume is lost, or report what that needs."""
    without_majority = _without_majority(desired.name, observed)
    if without_majority:
        return Plan(blocked=(without_majority,))
    lost = [record for record in observed.records if record.lost_since and in_cluster(observed, record.peer)]
    plans = [_plan(desired, observed, layout, record) for record in lost]
    steps = tuple(step for plan in plans for step in plan.steps)
    return Plan(steps[:1], tuple(wait for plan in plans for wait in plan.blocked)) + _rejoin(observed, layout)


def _without_majority(cluster: str, observed: Observed) -> Blocked | None:
    """Too few volumes of the recorded peers are left to elect a leader."""
    records = observed.records
    gone = [record for record in records if _is_gone(cluster, observed, record)]
    left = len(records) - len(gone)
    if not gone or left * 2 > len(records):
        return None
    claims = [claim_name(cluster, ordinal_of(record.pod)) for record in gone]
    message = (
        f"the volumes of {counted(len(gone), 'peer')} of {len(records)} are gone (claims {named(claims)}), and "
        f"{left} of {len(records)} are no majority: the peers cannot elect a leader. Bring old volumes back under "
        "these claim names until more than half of the peers have theirs. If no old volume exists, save what the "
        "other peers still hold, delete the QdrantCluster and then its claims, create it again, and restore the "
        "collections from a backup"
    )
    return Blocked("elect a leader", ClusterGuard.VOLUME_LOST, message)


def _is_gone(cluster: str, observed: Observed, record: PeerRecord) -> bool:
    """Its claim is missing, replaced or empty, its peer does not answer, and its pod cannot start.

    A peer that answers under another claim has its old volume back.
    """
    if not record.claim_uid or any(view.peer == record.peer for view in observed.peers.values()):
        return False
    volume = observed.volumes.get(claim_name(cluster, ordinal_of(record.pod)))
    pod = next((pod for pod in observed.pods if pod.name == record.pod), None)
    gone = volume is None or is_lost(record, observed)
    return gone and (pod is None or is_down(pod))


def _plan(desired: DesiredCluster, observed: Observed, layout: Layout, record: PeerRecord) -> ClusterPlan:
    step = RemovePeer(record.peer, record.pod, force=True, why=WHY)
    claim = claim_name(desired.name, int(record.pod.rpartition("-")[2]))
    lost = lost_with(layout, record.peer)
    if lost:
        message = (
            f"claim {claim} has an empty volume, and peer {record.peer} held the only sound replica of "
            f"{', '.join(lost)}: bring the old volume back under this claim; only if it is lost permanently, save what "
            "the other shards hold and delete these collections in Qdrant"
        )
        return _wait(step, ClusterGuard.VOLUME_LOST, message)
    if not _may_replace(desired, observed, record):
        message = (
            f"claim {claim} has an empty volume and peer {record.peer} can never come back; every shard of it "
            f"has another sound replica: add {record.peer} to spec.shards.replaceLostPeers, or set "
            "spec.shards.replaceLostPeerAfter"
        )
        return _wait(step, ClusterGuard.CONSENT_NEEDED, message)
    if not is_lost(record, observed):
        return NOTHING
    reason = why_not_remove(step, layout)
    return _wait(step, ClusterGuard.QUORUM_AT_RISK, f"{reason}: waiting") if reason else Plan((step,))


def _wait(step: RemovePeer, guard: ClusterGuard, message: str) -> ClusterPlan:
    return Plan(blocked=(Blocked(str(step), guard, message),))


def _rejoin(observed: Observed, layout: Layout) -> ClusterPlan:
    """Restart a pod that Qdrant refused because of its old peer: it need not wait for the kubelet's back-off."""
    inside = {peer.id for peer in layout.peers}
    free = {record.pod for record in observed.records if record.peer not in inside}
    for pod in observed.pods:
        if pod.terminating or pod.name not in free:
            continue
        if is_refused(pod):
            return Plan((RestartPod(pod.name, pod.uid, "its old peer was removed, so it can join"),))
    return NOTHING
