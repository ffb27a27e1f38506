"""How one peer at a time is taken away.

The safety argument for a peer that leaves. (1) It is drained by placement; anybody may still change their mind.
(2) When no view puts anything on it and no client reaches it, `Removing` is recorded; from here on there is no
way back, because a removal that timed out may still be carried out. (3) It is removed from consensus without
force, so that Qdrant itself refuses when something landed on it. (4) When no member knows it any more, `Removed`
is recorded; its pod goes, then its volume. Only when both are gone is the record taken away, and only then may
the StatefulSet grow again: a removed peer never comes back with its old volume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qdrant_operator.domain.cluster.desired import DesiredCluster
from qdrant_operator.domain.cluster.layout import Roles
from qdrant_operator.domain.cluster.membership.identity import is_member, members, ordinal_of
from qdrant_operator.domain.cluster.membership.lost_volumes import consented
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase, Observed, PodState
from qdrant_operator.domain.cluster.steps import (
    NOTHING,
    ClusterPlan,
    DeleteClaim,
    LowerMembers,
    RecordLeaving,
    RemovePeer,
    TakeOutOfService,
)
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.text import counted, named
from qdrant_operator.domain.manifests.diff import quantity
from qdrant_operator.domain.placement.model import Layout
from qdrant_operator.domain.placement.preflight import held
from qdrant_operator.domain.qdrant.views import PeerId

SCALE_IN = "fewer peers are wanted"


def roles(desired: DesiredCluster, observed: Observed) -> Roles:
    """What is intended with each member. Nobody leaves while the rest could not hold every replica."""
    pods = members(desired.name, observed)
    wanted = desired.spec.replicas
    surplus = {peer for peer, pod in pods.items() if pod and ordinal_of(pod) >= wanted}
    going = surplus if not _too_few(desired, observed) else set()
    recorded = {observed.leaving.peer} if observed.leaving and observed.leaving.peer else set()
    size = quantity(str(desired.spec.persistence.size))
    return Roles(
        pods, frozenset(going | recorded), consented(desired, observed, pods), int(size) if size else None
    )


def plan_membership(desired: DesiredCluster, observed: Observed, layout: Layout) -> ClusterPlan:
    """The next step of taking a peer away, or why it waits."""
    if observed.leaving:
        return _Removal(desired, observed, layout, observed.leaving).go_on()
    present = observed.members or 0
    ghost = _ghost(layout, max(present, desired.members))
    if ghost:
        return _Removal(desired, observed, layout, ghost).begin()
    if desired.spec.replicas >= present:
        return NOTHING
    too_few = _too_few(desired, observed)
    if too_few:
        return Plan(blocked=(Blocked("scale in", ClusterGuard.TOO_FEW_PEERS, too_few),))
    pod = names.pod_name(desired.name, present - 1)
    peer = next((peer.id for peer in layout.peers if peer.pod == pod), None)
    volume = observed.volumes.get(names.claim_name(desired.name, present - 1))
    uid = volume.uid if volume else ""
    return _Removal(desired, observed, layout, Leaving(pod, peer, uid, LeavingPhase.REMOVING)).begin()


def _ghost(layout: Layout, present: int) -> Leaving | None:
    """A member whose pod the StatefulSet has no more."""
    for peer in layout.peers:
        if ordinal_of(peer.pod) >= present > 0 and not peer.answers:
            return Leaving(peer.pod, peer.id, "", LeavingPhase.REMOVING)
    return None


def _too_few(desired: DesiredCluster, observed: Observed) -> str:
    """Which collection needs more peers than would stay; empty: none."""
    wanted, present = desired.spec.replicas, observed.members or 0
    factors = {(shard.wanted, shard.collection) for shard in observed.shards}
    factors |= {(want.factor, name) for (name, _), want in observed.wants.items() if want.factor}
    factor, collection = max(factors, default=(0, ""))
    if wanted >= min(factor, present) or wanted >= present:
        return ""
    return (
        f"collection {collection} has replication factor {factor} and {counted(wanted, 'peer')} would stay: lower its "
        f"replicationFactor to {wanted}, or set spec.replicas to {factor}"
    )


def _is_joining(pod: PodState | None) -> bool:
    """Its process runs, so that its peer may become a member at any moment."""
    return pod is not None and bool(pod.address) and not pod.waiting and not pod.terminating


@dataclass(frozen=True, slots=True)
class _Removal:
    """One peer on its way out."""

    desired: DesiredCluster
    observed: Observed
    layout: Layout
    leaving: Leaving

    @property
    def step(self) -> RemovePeer:
        return RemovePeer(self.leaving.peer or PeerId(0), self.leaving.pod, force=False, why=SCALE_IN)

    @property
    def pod(self) -> PodState | None:
        pods = (*self.observed.pods, *filter(None, (self.observed.going,)))
        return next((pod for pod in pods if pod.name == self.leaving.pod), None)

    def begin(self) -> ClusterPlan:
        """Until `Removing` is recorded everything can be taken back."""
        if self.leaving.peer is None:
            return self._wait_settled() if self.layout.unsettled else self._never_joined()
        return self._hindrance() or self._out_of_service() or self._record(LeavingPhase.REMOVING)

    def go_on(self) -> ClusterPlan:
        """What is recorded is led to its end, whatever the spec says meanwhile."""
        if self.leaving.phase is LeavingPhase.REMOVED:
            if self._has_successor:
                return Plan((RecordLeaving(None, self.leaving.pod),))
            return self._wait_settled() if self._may_have_successor else self._take_away()
        if is_member(self.observed, self.step.peer):
            return self._hindrance() or self._out_of_service() or Plan((self.step,))
        if any(peer.id == self.leaving.peer for peer in self.layout.peers):
            text = f"not every peer has heard yet that peer {self.leaving.peer} was removed"
            return self._blocked(ClusterGuard.CONSENSUS_UNSETTLED, text)
        if self.layout.unsettled or not all(peer.answers for peer in self.layout.peers):
            return self._wait_settled()
        return self._record(LeavingPhase.REMOVED)

    @property
    def _may_have_successor(self) -> bool:
        """The leader, who would know first, does not answer.

        A pod that is not there now may have been there a moment ago, and its peer joined on the volume that waits.
        """
        ordinal = ordinal_of(self.leaving.pod)
        counted = ordinal < (self.observed.members or 0) or self.pod is not None
        waits = names.claim_name(self.desired.name, ordinal) in self.observed.volumes
        known = not self.layout.unsettled and self.observed.pod_of(self.observed.leader) is not None
        return (counted or waits) and not known

    def _never_joined(self) -> ClusterPlan:
        """A pod whose process runs may become a member at any moment: then its peer is removed like others."""
        if _is_joining(self.pod):
            text = f"{self.leaving.pod} is joining: it goes when it is a member, or when it does not run"
            return self._blocked(ClusterGuard.PEER_NOT_JOINED, text)
        return self._record(LeavingPhase.REMOVED)

    @property
    def _has_successor(self) -> bool:
        """Another peer joined from the same pod, on another volume: it must not go unremoved."""
        return any(
            peer.pod == self.leaving.pod and peer.id != self.leaving.peer for peer in self.layout.peers
        )

    def _record(self, phase: LeavingPhase) -> ClusterPlan:
        return Plan((RecordLeaving(replace(self.leaving, phase=phase), self.leaving.pod),))

    def _hindrance(self) -> ClusterPlan | None:
        here = held(self.layout, self.step.peer)
        if here:
            shards = f"it still holds {named(here)}: shards leave it first"
            return self._blocked(ClusterGuard.PEER_HOLDS_SHARDS, shards)
        if self.layout.unsettled:
            return self._wait_settled()
        silent = [p.pod for p in self.layout.peers if not p.answers and p.id != self.leaving.peer]
        if silent:
            text = f"{', '.join(silent)} does not answer, and may know of shards there"
            return self._blocked(ClusterGuard.PEERS_UNREACHABLE, text)
        reason = why_not_remove(self.step, self.layout)
        return self._blocked(ClusterGuard.QUORUM_AT_RISK, reason) if reason else None

    def _out_of_service(self) -> ClusterPlan | None:
        if self.pod is None and ordinal_of(self.leaving.pod) >= (self.observed.members or 0):
            return None
        if self.pod is None or self.pod.terminating:
            text = f"{self.leaving.pod} is being made anew, and would be in service at once"
            return self._blocked(ClusterGuard.POD_NOT_RUNNING, text)
        others = [pod for pod in self.observed.pods if pod.name != self.pod.name]
        out = [pod.name for pod in others if not (pod.serving and pod.ready) or pod.terminating]
        if out:
            text = f"{', '.join(out)} must be ready and in service first"
            return self._blocked(ClusterGuard.ONE_AT_A_TIME, text)
        if self.pod.serving:
            return Plan((TakeOutOfService(self.pod.name, SCALE_IN),))
        return self._still_reached(self.pod)

    def _still_reached(self, pod: PodState) -> ClusterPlan | None:
        """Nodes send clients to a pod for a moment after the Service's list has lost it."""
        if pod.address in self.observed.listed:
            text = f"the client Service still lists {pod.name} ({pod.address})"
        elif pod.name in self.observed.just_left:
            text = f"{pod.name} left the client Service a moment ago, and not every node knows it yet"
        else:
            return None
        return self._blocked(ClusterGuard.STILL_IN_SERVICE, text)

    def _take_away(self) -> ClusterPlan:
        """Pod, then volume, then the record."""
        present, ordinal = self.observed.members or 0, ordinal_of(self.leaving.pod)
        if ordinal == present - 1:
            return Plan((LowerMembers(self.leaving.pod, ordinal),))
        if ordinal < present:
            return self._below(names.pod_name(self.desired.name, present - 1), present)
        if self.pod is not None:
            return NOTHING
        name = names.claim_name(self.desired.name, ordinal)
        volume = self.observed.volumes.get(name)
        if volume and volume.uid == self.leaving.claim_uid and not self._keeps_volume:
            return NOTHING if volume.terminating else Plan((DeleteClaim(name, volume.uid),))
        return Plan((RecordLeaving(None, self.leaving.pod),))

    def _below(self, top: str, present: int) -> ClusterPlan:
        """Pods were added above: only the topmost one can be taken away, and only if its peer is no member."""
        pod = next((one for one in self.observed.pods if one.name == top), None)
        if not any(peer.pod == top for peer in self.layout.peers) and not _is_joining(pod):
            return Plan((LowerMembers(top, present - 1),))
        name, claim = self.leaving.pod, names.claim_name(self.desired.name, ordinal_of(self.leaving.pod))
        text = (
            f"{name} holds the volume of a removed peer, and {top} was added above it: give {name} a new volume "
            f"(kubectl delete pvc {claim} --wait=false && kubectl delete pod {name}), and a new peer joins from it"
        )
        return self._blocked(ClusterGuard.ONE_AT_A_TIME, text)

    @property
    def _keeps_volume(self) -> bool:
        return self.desired.spec.persistence.when_scaled == "Retain"

    def _wait_settled(self) -> ClusterPlan:
        return self._blocked(
            ClusterGuard.CONSENSUS_UNSETTLED,
            f"{self.layout.unsettled or 'not every member answers'}: waiting",
        )

    def _blocked(self, guard: ClusterGuard, message: str) -> ClusterPlan:
        return Plan(blocked=(Blocked(str(self.step), guard, message),))
