"""Scale-in: one peer at a time is drained, removed from consensus, and its pod and volume are deleted.

The safety argument. (1) Placement drains the peer; until it is empty the spec may still be changed back. (2) When no
view places anything on it and no client reaches it, `Removing` is recorded; from here on the removal is completed,
because a removal that timed out may still be carried out. (3) The peer is removed from consensus without force, so
that Qdrant itself refuses if a replica was placed on it in the meantime. (4) When no peer lists it any more, `Removed`
is recorded; its pod is deleted, then its volume. Only when both are gone is the record removed, and only then may the
StatefulSet grow again: a removed peer never comes back with its old volume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdrant_operator.domain.cluster.layout import Roles
from qdrant_operator.domain.cluster.membership.identity import in_cluster, ordinal_of, pods_by_peer
from qdrant_operator.domain.cluster.membership.lost_volumes import consented
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.observed import Leaving, LeavingPhase, Observed, PodState
from qdrant_operator.domain.cluster.steps import (
    NOTHING,
    ClusterPlan,
    DeleteClaim,
    RecordLeaving,
    RemovePeer,
    ScaleInStatefulSet,
    TakeOutOfService,
)
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
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
    """Intended role of each peer. No peer leaves while the others cannot hold every replica."""
    pods = pods_by_peer(desired.name, observed)
    wanted = desired.spec.replicas
    surplus = {peer for peer, pod in pods.items() if pod and ordinal_of(pod) >= wanted}
    leaving = surplus if not _too_few(desired, observed) else set()
    recorded = {observed.leaving.peer} if observed.leaving and observed.leaving.peer else set()
    size = quantity(str(desired.spec.persistence.size))
    return Roles(
        pods, frozenset(leaving | recorded), consented(desired, observed, pods), int(size) if size else None
    )


def plan_membership(desired: DesiredCluster, observed: Observed, layout: Layout) -> ClusterPlan:
    """The next step of removing a peer, or why it is blocked."""
    if observed.leaving:
        return _Removal(desired, observed, layout, observed.leaving).complete()
    present = observed.stateful_set_replicas or 0
    without_pod = _peer_without_pod(layout, max(present, desired.pod_count))
    if without_pod:
        return _Removal(desired, observed, layout, without_pod).begin()
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


def _peer_without_pod(layout: Layout, present: int) -> Leaving | None:
    """A peer whose pod the StatefulSet no longer has."""
    for peer in layout.peers:
        if ordinal_of(peer.pod) >= present > 0 and not peer.answers:
            return Leaving(peer.pod, peer.id, "", LeavingPhase.REMOVING)
    return None


def _too_few(desired: DesiredCluster, observed: Observed) -> str:
    """Which collection needs more peers than would remain; empty: none."""
    wanted, present = desired.spec.replicas, observed.stateful_set_replicas or 0
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
    """Its process runs, so that its peer may join at any moment."""
    return pod is not None and bool(pod.address) and not pod.waiting and not pod.terminating


@dataclass(frozen=True, slots=True)
class _Removal:
    """The removal of one peer."""

    desired: DesiredCluster
    observed: Observed
    layout: Layout
    leaving: Leaving

    @property
    def step(self) -> RemovePeer:
        return RemovePeer(self.leaving.peer or PeerId(0), self.leaving.pod, force=False, why=SCALE_IN)

    @property
    def pod(self) -> PodState | None:
        pods = (*self.observed.pods, *filter(None, (self.observed.removed_pod,)))
        return next((pod for pod in pods if pod.name == self.leaving.pod), None)

    def begin(self) -> ClusterPlan:
        """Until `Removing` is recorded the spec may be changed back."""
        if self.leaving.peer is None:
            return self._wait_settled() if self.layout.unsettled else self._never_joined()
        return self._not_removable() or self._out_of_service() or self._record(LeavingPhase.REMOVING)

    def complete(self) -> ClusterPlan:
        """A recorded removal is completed, also after a change of the spec."""
        if self.leaving.phase is LeavingPhase.REMOVED:
            if self._has_successor:
                return Plan((RecordLeaving(None, self.leaving.pod),))
            return self._wait_settled() if self._may_have_successor else self._delete_pod_and_volume()
        if in_cluster(self.observed, self.step.peer):
            return self._not_removable() or self._out_of_service() or Plan((self.step,))
        if any(peer.id == self.leaving.peer for peer in self.layout.peers):
            text = f"not every peer knows yet that peer {self.leaving.peer} was removed: waiting"
            return self._blocked(ClusterGuard.CONSENSUS_UNSETTLED, text)
        if self.layout.unsettled or not all(peer.answers for peer in self.layout.peers):
            return self._wait_settled()
        return self._record(LeavingPhase.REMOVED)

    @property
    def _may_have_successor(self) -> bool:
        """Whether another peer may have joined from the pod: the leader, which applies it first, does not answer.

        A pod that does not exist may have existed a moment ago, and its peer joined on the remaining volume.
        """
        ordinal = ordinal_of(self.leaving.pod)
        counted = ordinal < (self.observed.stateful_set_replicas or 0) or self.pod is not None
        waits = names.claim_name(self.desired.name, ordinal) in self.observed.volumes
        known = not self.layout.unsettled and self.observed.pod_of(self.observed.leader) is not None
        return (counted or waits) and not known

    def _never_joined(self) -> ClusterPlan:
        """A peer whose process runs may join at any moment; it is then removed as any other peer."""
        if _is_joining(self.pod):
            text = f"{self.leaving.pod} is joining: it is removed when it has joined or does not run any more"
            return self._blocked(ClusterGuard.PEER_NOT_JOINED, text)
        return self._record(LeavingPhase.REMOVED)

    @property
    def _has_successor(self) -> bool:
        """Whether another peer joined from the same pod, on another volume: it must be removed too."""
        return any(
            peer.pod == self.leaving.pod and peer.id != self.leaving.peer for peer in self.layout.peers
        )

    def _record(self, phase: LeavingPhase) -> ClusterPlan:
        return Plan((RecordLeaving(replace(self.leaving, phase=phase), self.leaving.pod),))

    def _not_removable(self) -> ClusterPlan | None:
        return self._first_of(REMOVAL_GUARDS)

    def _out_of_service(self) -> ClusterPlan | None:
        """Out of the client Service first, one pod at a time; None: no client reaches it."""
        if self.pod is None and ordinal_of(self.leaving.pod) >= (self.observed.stateful_set_replicas or 0):
            return None
        blocked = self._first_of(SERVICE_GUARDS)
        if blocked or self.pod is None:
            return blocked
        if self.pod.serving:
            return Plan((TakeOutOfService(self.pod.name, SCALE_IN),))
        return self._first_of(LISTED_GUARDS)

    def _first_of(self, guards: Guards) -> ClusterPlan | None:
        """The first guard of a table that blocks; None: none does."""
        for guard, check in guards:
            message = check(self)
            if message:
                return self._blocked(guard, message)
        return None

    def _delete_pod_and_volume(self) -> ClusterPlan:
        """Pod, then volume, then the record."""
        present, ordinal = self.observed.stateful_set_replicas or 0, ordinal_of(self.leaving.pod)
        if ordinal == present - 1:
            return Plan((ScaleInStatefulSet(self.leaving.pod, ordinal),))
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
        """Pods were added above: only the topmost one can be deleted, and only if no peer joined from it."""
        pod = next((pod for pod in self.observed.pods if pod.name == top), None)
        if not any(peer.pod == top for peer in self.layout.peers) and not _is_joining(pod):
            return Plan((ScaleInStatefulSet(top, present - 1),))
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
            f"{self.layout.unsettled or 'not every peer answers'}: waiting",
        )

    def _blocked(self, guard: ClusterGuard, message: str) -> ClusterPlan:
        return Plan(blocked=(Blocked(str(self.step), guard, message),))


Guards = tuple[tuple[ClusterGuard, Callable[[_Removal], str]], ...]
"""In the order of evaluation; a check that returns a message blocks."""


def _holds_shards(removal: _Removal) -> str:
    here = held(removal.layout, removal.step.peer)
    return f"it still holds {named(here)}: shards are moved off it first" if here else ""


def _unsettled(removal: _Removal) -> str:
    return f"{removal.layout.unsettled}: waiting" if removal.layout.unsettled else ""


def _others_silent(removal: _Removal) -> str:
    peers = removal.layout.peers
    silent = [peer.pod for peer in peers if not peer.answers and peer.id != removal.leaving.peer]
    return f"{', '.join(silent)} does not answer and may know of shards on it" if silent else ""


def _loses_quorum(removal: _Removal) -> str:
    return why_not_remove(removal.step, removal.layout)


REMOVAL_GUARDS: Guards = (
    (ClusterGuard.PEER_HOLDS_SHARDS, _holds_shards),
    (ClusterGuard.CONSENSUS_UNSETTLED, _unsettled),
    (ClusterGuard.PEERS_UNREACHABLE, _others_silent),
    (ClusterGuard.QUORUM_AT_RISK, _loses_quorum),
)
"""Before a peer is removed from consensus."""


def _is_recreated(removal: _Removal) -> str:
    if removal.pod is not None and not removal.pod.terminating:
        return ""
    return f"{removal.leaving.pod} is being recreated and would be in service at once: waiting"


def _others_out_of_service(removal: _Removal) -> str:
    others = [pod for pod in removal.observed.pods if pod.name != removal.leaving.pod]
    out = [pod.name for pod in others if not (pod.serving and pod.ready) or pod.terminating]
    return f"{', '.join(out)} must be ready and in service first" if out else ""


SERVICE_GUARDS: Guards = (
    (ClusterGuard.POD_NOT_RUNNING, _is_recreated),
    (ClusterGuard.ONE_AT_A_TIME, _others_out_of_service),
)
"""Before its pod is taken out of the client Service."""


def _still_reached(removal: _Removal) -> str:
    """Nodes send clients to a pod for a moment after the Service stops listing it."""
    pod = removal.pod
    if pod is not None and pod.address in removal.observed.listed:
        return f"the client Service still lists {pod.name} ({pod.address}): waiting"
    if pod is not None and pod.name in removal.observed.just_left:
        return f"{pod.name} left the client Service a moment ago, and some nodes may not know it yet: waiting"
    return ""


LISTED_GUARDS: Guards = ((ClusterGuard.STILL_IN_SERVICE, _still_reached),)
"""After its pod left the client Service, before its removal begins."""
