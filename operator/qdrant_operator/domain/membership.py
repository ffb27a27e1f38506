"""Who is a member, on which volume it lives, and how one peer at a time is taken away.

The safety argument for a peer that leaves. (1) It is drained by placement; anybody may still change their mind.
(2) When no view puts anything on it and no client reaches it, `Removing` is recorded; from here on there is no
way back, because a removal that timed out may still be carried out. (3) It is removed from consensus without
force, so that Qdrant itself refuses when something landed on it. (4) When no member knows it any more, `Removed`
is recorded; its pod goes, then its volume. Only when both are gone is the record taken away, and only then may
the StatefulSet grow again: a removed peer never comes back with its old volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from qdrant_operator.domain import names
from qdrant_operator.domain.bootstrap import members_wanted
from qdrant_operator.domain.desired import DesiredCluster
from qdrant_operator.domain.lost_volumes import consented
from qdrant_operator.domain.observed import (
    BootstrapPhase,
    Leaving,
    LeavingPhase,
    Member,
    Observed,
    PodState,
    Volume,
)
from qdrant_operator.domain.placement.layout import Roles
from qdrant_operator.domain.placement.model import Layout
from qdrant_operator.domain.placement.recheck import held, why_not_remove
from qdrant_operator.domain.steps import (
    NOTHING,
    Blocked,
    DeleteClaim,
    Guard,
    LowerMembers,
    Plan,
    RecordLeaving,
    RemovePeer,
    TakeOutOfService,
)
from qdrant_operator.domain.values import PeerId, PeerView, View

SCALE_IN = "fewer peers are wanted"
SHOWN = 5


def outsiders(views: Mapping[str, View]) -> frozenset[str]:
    """Pods whose peer is in no cluster with the others: removed ones, and such as formed their own."""
    answering = {pod: view for pod, view in views.items() if isinstance(view, PeerView)}
    alone = {pod for pod, view in answering.items() if set(view.peers) <= {view.peer}}
    if len(alone) < len(answering):
        return frozenset(alone)
    stopped = {pod for pod in alone if not answering[pod].consensus_working}
    return frozenset(stopped) if len(stopped) < len(answering) else frozenset()


def members(cluster: str, observed: Observed) -> dict[PeerId, str]:
    """Every member that any view names, and its pod; an empty name where that is unknown."""
    inside = [view for view in observed.peers.values() if view.peer in _common(observed)]
    uris = {peer: uri for view in inside for peer, uri in view.peers.items()}
    own = {view.peer: pod for pod, view in observed.peers.items()}
    recorded = {member.peer: member.pod for member in observed.members_known}
    hosts = {pod.address: pod.name for pod in observed.pods if pod.address}
    return {
        peer: own.get(peer) or recorded.get(peer) or _pod_of(cluster, uri, hosts)
        for peer, uri in sorted(uris.items())
    }


def _common(observed: Observed) -> frozenset[PeerId]:
    outside = outsiders(observed.views)
    return frozenset(view.peer for pod, view in observed.peers.items() if pod not in outside)


def _pod_of(cluster: str, uri: str, hosts: Mapping[str, str]) -> str:
    host = urlsplit(uri).hostname or ""
    name = host.split(".")[0]
    tail = name.removeprefix(f"{cluster}-")
    return name if tail != name and tail.isdigit() else hosts.get(host, "")


def ordinal_of(pod: str) -> int:
    """Ordinal in a pod's name; -1 where the name is unknown."""
    tail = pod.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def roles(desired: DesiredCluster, observed: Observed) -> Roles:
    """What is intended with each member. Nobody leaves while the rest could not hold every replica."""
    pods = members(desired.name, observed)
    wanted = desired.spec.replicas
    surplus = {peer for peer, pod in pods.items() if pod and ordinal_of(pod) >= wanted}
    going = surplus if not _too_few(desired, observed) else set()
    recorded = {observed.leaving.peer} if observed.leaving and observed.leaving.peer else set()
    return Roles(pods, frozenset(going | recorded), consented(desired, observed, pods), observed.waits)


def plan_membership(desired: DesiredCluster, observed: Observed, layout: Layout) -> Plan:
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
        return Plan(blocked=(Blocked("scale in", Guard.TOO_FEW_PEERS, too_few),))
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
        f"collection {collection} has replication factor {factor} and {wanted} peers would stay: lower its "
        f"replicationFactor to {wanted}, or set spec.replicas to {factor}"
    )


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

    def begin(self) -> Plan:
        """Until `Removing` is recorded everything can be taken back."""
        if self.leaving.peer is None:
            return self._record(LeavingPhase.REMOVED) if not self.layout.unsettled else self._wait_settled()
        return self._hindrance() or self._out_of_service() or self._record(LeavingPhase.REMOVING)

    def go_on(self) -> Plan:
        """What is recorded is led to its end, whatever the spec says meanwhile."""
        if self.leaving.phase is LeavingPhase.REMOVED:
            return self._take_away()
        if any(peer.id == self.leaving.peer for peer in self.layout.peers):
            return self._hindrance() or self._out_of_service() or Plan((self.step,))
        if self.layout.unsettled or not all(peer.answers for peer in self.layout.peers):
            return self._wait_settled()
        return self._record(LeavingPhase.REMOVED)

    def _record(self, phase: LeavingPhase) -> Plan:
        return Plan((RecordLeaving(replace(self.leaving, phase=phase), self.leaving.pod),))

    def _hindrance(self) -> Plan | None:
        here = held(self.layout, self.step.peer)
        if here:
            more = f" and {len(here) - SHOWN} more" if len(here) > SHOWN else ""
            shards = f"{len(here)} shards are still there: {', '.join(here[:SHOWN])}{more}"
            return self._blocked(Guard.PEER_HOLDS_SHARDS, shards)
        if self.layout.unsettled:
            return self._wait_settled()
        silent = [p.pod for p in self.layout.peers if not p.answers and p.id != self.leaving.peer]
        if silent:
            text = f"{', '.join(silent)} does not answer, and may know of shards there"
            return self._blocked(Guard.PEERS_UNREACHABLE, text)
        reason = why_not_remove(self.step, self.layout)
        return self._blocked(Guard.NO_QUORUM_WITHOUT, reason) if reason else None

    def _out_of_service(self) -> Plan | None:
        if self.pod is None:
            return None
        if self.pod.serving:
            return Plan((TakeOutOfService(self.pod.name, SCALE_IN),))
        if self.pod.address in self.observed.listed:
            text = f"the client Service still lists {self.pod.name} ({self.pod.address})"
            return self._blocked(Guard.STILL_IN_SERVICE, text)
        return None

    def _take_away(self) -> Plan:
        """Pod, then volume, then the record."""
        present, ordinal = self.observed.members or 0, ordinal_of(self.leaving.pod)
        if ordinal == present - 1:
            return Plan((LowerMembers(self.leaving.pod, ordinal),))
        if ordinal < present:
            text = f"the StatefulSet has {present} pods: it must have {ordinal + 1}, so that {self.leaving.pod} goes"
            return self._blocked(Guard.ONE_AT_A_TIME, text)
        if self.pod is not None:
            return NOTHING
        name = names.claim_name(self.desired.name, ordinal)
        volume = self.observed.volumes.get(name)
        if volume and volume.uid == self.leaving.claim_uid and not self._keeps_volume:
            return NOTHING if volume.terminating else Plan((DeleteClaim(name, volume.uid),))
        return Plan((RecordLeaving(None, self.leaving.pod),))

    @property
    def _keeps_volume(self) -> bool:
        return self.desired.spec.persistence.when_scaled == "Retain"

    def _wait_settled(self) -> Plan:
        return self._blocked(Guard.CONSENSUS_UNSETTLED, self.layout.unsettled or "not every member answers")

    def _blocked(self, guard: Guard, message: str) -> Plan:
        return Plan(blocked=(Blocked(str(self.step), guard, message),))


def gone_pod(
    leaving: Leaving | None, pods: tuple[PodState, ...], views: Mapping[str, View]
) -> PodState | None:
    """The pod of the leaving peer, once that is no member any more."""
    pod = next((pod for pod in pods if leaving and pod.name == leaving.pod), None)
    if pod is None or leaving is None:
        return None
    outside = pod.name in outsiders(views)
    return pod if outside or leaving.phase is LeavingPhase.REMOVED else None


def pods_wanted(cluster: str, replicas: int, observed: Observed) -> tuple[int, tuple[Blocked, ...]]:
    """Replicas that the StatefulSet shall have now, and what holds it back.

    Volumes of members are all started; nothing grows while a peer is being taken away; and a pod is never made
    where a volume waits that is not a member's.
    """
    bootstrap, present = observed.bootstrap, observed.members
    records, volumes = observed.members_known, observed.volumes
    if present is None or not records or bootstrap is None or bootstrap.phase is not BootstrapPhase.COMPLETE:
        return members_wanted(bootstrap, replicas, present, observed.claims), ()
    if observed.leaving is not None:
        return present, ()
    ours = {names.claim_name(cluster, ordinal_of(member.pod)): member.claim_uid for member in records}
    alive = [ordinal_of(m.pod) + 1 for m in records if _is_there(volumes, cluster, m)]
    wanted = max([replicas, present, *alive])
    for ordinal in range(present, wanted):
        claim = names.claim_name(cluster, ordinal)
        volume = volumes.get(claim)
        if volume and ours.get(claim) != volume.uid:
            return ordinal, (_old_volume(cluster, ordinal, claim, volume),)
    return wanted, ()


def _is_there(volumes: Mapping[str, Volume], cluster: str, member: Member) -> bool:
    volume = volumes.get(names.claim_name(cluster, ordinal_of(member.pod)))
    return volume is not None and volume.uid == member.claim_uid


def _old_volume(cluster: str, ordinal: int, claim: str, volume: Volume) -> Blocked:
    step = f"scale out to {names.pod_name(cluster, ordinal)}"
    if volume.terminating:
        return Blocked(step, Guard.REMOVED_VOLUME_PRESENT, f"claim {claim} is being deleted")
    message = (
        f"claim {claim} holds the data of a peer that was removed from the cluster and can never join again: "
        f"save what you need of it, then delete the claim (kubectl delete pvc {claim})"
    )
    return Blocked(step, Guard.REMOVED_VOLUME_PRESENT, message)


def update_records(previous: tuple[Member, ...], desired: str, observed: Observed) -> tuple[Member, ...]:
    """status.members after this look: new members are added, lost volumes dated, gone members forgotten."""
    known = {member.pod: member for member in previous}
    inside = _common(observed)
    peers = {peer for view in observed.peers.values() if view.peer in inside for peer in view.peers}
    for pod in observed.pods:
        found = _record(pod, observed, desired, inside)
        if found:
            known[pod.name] = found
    settled = bool(peers)
    kept = (m for m in known.values() if not settled or m.peer in peers or _pod_exists(m.pod, observed))
    return tuple(sorted((_dated(m, desired, observed, peers) for m in kept), key=lambda m: ordinal_of(m.pod)))


def _pod_exists(pod: str, observed: Observed) -> bool:
    return any(one.name == pod for one in observed.pods)


def _record(pod: PodState, observed: Observed, cluster: str, inside: frozenset[PeerId]) -> Member | None:
    """A peer and its volume, where no doubt is possible: a claim younger than the pod is not the pod's."""
    view = observed.peers.get(pod.name)
    volume = observed.volumes.get(names.claim_name(cluster, pod.ordinal))
    if view is None or view.peer not in inside or not view.voter or volume is None:
        return None
    if volume.terminating or pod.terminating or volume.created > pod.created:
        return None
    return Member(pod.name, view.peer, volume.uid)


def _dated(member: Member, cluster: str, observed: Observed, peers: set[PeerId]) -> Member:
    volume = observed.volumes.get(names.claim_name(cluster, ordinal_of(member.pod)))
    answers = any(view.peer == member.peer for view in observed.peers.values())
    replaced = volume is not None and volume.uid != member.claim_uid
    if answers or not replaced or member.peer not in peers:
        return replace(member, lost_since=None)
    return replace(member, lost_since=member.lost_since or observed.now)
