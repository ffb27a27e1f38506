"""Which peers are members, in which pods and on which volumes they live, and which pods may be made.

Pure. `status.members` is the evidence: it pairs pod, peer id and claim, and is written before anything is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from qdrant_operator.domain.cluster.formation import members_wanted
from qdrant_operator.domain.cluster.membership.lost_evidence import is_lost, is_refused, starts_again
from qdrant_operator.domain.cluster.observed import (
    BootstrapPhase,
    Leaving,
    LeavingPhase,
    Member,
    Observed,
    PodState,
    Volume,
)
from qdrant_operator.domain.cluster.volumes.evidence import may_hold_data
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, View


def outsiders(views: Mapping[str, View], records: Collection[Member] = ()) -> frozenset[str]:
    """Pods whose peer is in no cluster with the others: removed ones, and such as formed their own.

    With `records` of members a peer that is alone and none of them is outside, though nobody else may answer.
    """
    answering = {pod: view for pod, view in views.items() if isinstance(view, PeerView)}
    alone = {pod for pod, view in answering.items() if set(view.peers) <= {view.peer}}
    known = {member.peer for member in records}
    foreign = {pod for pod in alone if known and answering[pod].peer not in known}
    if foreign and len(alone) == len(answering):
        return frozenset(foreign)
    if len(alone) < len(answering):
        return frozenset(alone)
    stopped = {pod for pod in alone if not answering[pod].consensus_working}
    return frozenset(stopped) if len(stopped) < len(answering) else frozenset()


def members(cluster: str, observed: Observed) -> dict[PeerId, str]:
    """Every member that any view names, and its pod; an empty name where that is unknown."""
    inside = [
        view for view in observed.peers.values() if view.peer in _common(observed, observed.members_known)
    ]
    uris = {peer: uri for view in inside for peer, uri in view.peers.items()}
    own = {view.peer: pod for pod, view in observed.peers.items()}
    recorded = {member.peer: member.pod for member in observed.members_known}
    hosts = {pod.address: pod.name for pod in observed.pods if pod.address}
    return {
        peer: own.get(peer) or recorded.get(peer) or _pod_of(cluster, uri, hosts)
        for peer, uri in sorted(uris.items())
    }


def is_member(observed: Observed, peer: PeerId) -> bool:
    """Whether the leader lists a peer; where none is known, whether anybody does.

    The leader knows first that a removal was carried out; others may list the peer for seconds after that.
    """
    leader = observed.pod_of(observed.leader)
    views = [observed.peers[leader]] if leader else list(observed.peers.values())
    return any(peer in view.peers for view in views)


def _common(observed: Observed, records: Collection[Member]) -> frozenset[PeerId]:
    outside = outsiders(observed.views, records)
    return frozenset(view.peer for pod, view in observed.peers.items() if pod not in outside)


def _pod_of(cluster: str, uri: str, hosts: Mapping[str, str]) -> str:
    host = _host(uri)
    name = host.split(".")[0]
    tail = name.removeprefix(f"{cluster}-")
    return name if tail != name and tail.isdigit() else hosts.get(host, "")


def _host(uri: str) -> str:
    """The host in a URI that a peer announces; empty where it is none."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def ordinal_of(pod: str) -> int:
    """Ordinal in a pod's name; -1 where the name is unknown."""
    tail = pod.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def gone_pod(
    leaving: Leaving | None, pods: tuple[PodState, ...], views: Mapping[str, View]
) -> PodState | None:
    """The pod of the leaving peer, once that is no member any more."""
    pod = next((pod for pod in pods if leaving and pod.name == leaving.pod), None)
    if pod is None or leaving is None:
        return None
    outside = pod.name in outsiders(views) or _unaware(leaving, views)
    return pod if outside or leaving.phase is LeavingPhase.REMOVED else None


def _unaware(leaving: Leaving, views: Mapping[str, View]) -> bool:
    """Whether a majority without the leaving peer, and nobody who answers, lists it any more; it itself may.

    Raft sends nothing to who is no member: a peer that was slow just then never hears of its removal. Qdrant's
    then asks for votes for ever, and the others lose their leader each time (measured on 1.19.0).
    """
    own = views.get(leaving.pod)
    if not isinstance(own, PeerView) or own.peer != leaving.peer:
        return False
    others = [view for view in views.values() if isinstance(view, PeerView) and view.peer != own.peer]
    known = {peer for view in others for peer in view.peers}
    return own.peer not in known and len([view for view in others if view.voter]) * 2 > len(known)


def pods_wanted(cluster: str, replicas: int, observed: Observed) -> tuple[int, tuple[Blocked, ...]]:
    """Replicas that the StatefulSet shall have now, and what holds it back.

    Volumes of members are all started; nothing grows while a peer is being taken away or may be alone in a
    cluster of its own; and a pod is never made where a volume waits that is not a member's.
    """
    bootstrap, present = observed.bootstrap, observed.members
    records, volumes = observed.members_known, observed.volumes
    if present is not None and observed.leaving is not None:
        return present, ()
    started = bootstrap is None or bootstrap.phase is BootstrapPhase.STARTED
    if present is None or not records or started:
        return members_wanted(bootstrap, replicas, present, volumes), ()
    shunned = {pod.name for pod in observed.pods if not pod.serving and pod.name in observed.silent}
    alone = sorted(outsiders(observed.views, records) | shunned)
    if alone:
        return present, _split(present, replicas, alone)
    ours = {names.claim_name(cluster, ordinal_of(member.pod)): member.claim_uid for member in records}
    alive = [ordinal_of(m.pod) + 1 for m in records if _is_there(volumes, cluster, m)]
    wanted = max([replicas, present, *alive, _unrecorded(cluster, observed) + 1])
    # A member whose pod is gone before it was recorded: it joined on the volume that waits there, which is not old.
    inhabited = set(members(cluster, observed).values())
    for ordinal in range(present, wanted):
        claim = names.claim_name(cluster, ordinal)
        volume = volumes.get(claim)
        inhabits = names.pod_name(cluster, ordinal) in inhabited
        if volume and may_hold_data(volume) and not inhabits and ours.get(claim) != volume.uid:
            known = volume.terminating or _majority_answers(observed)
            return ordinal, ((_old_volume if known else _any_volume)(cluster, ordinal, claim, volume),)
    return wanted, ()


def _unrecorded(cluster: str, observed: Observed) -> int:
    """Highest ordinal of a member that has a volume and no pod, as every other member says; -1 where there is none.

    It joined just as its pod was taken away. Without it the others may be no majority, and then nothing ever ends.
    """
    inside = [observed.peers[pod] for pod in observed.peers if pod not in outsiders(observed.views)]
    listed = set.intersection(*(set(view.peers) for view in inside)) if inside else set()
    gone = listed - {view.peer for view in inside}
    pods = {peer: pod for peer, pod in members(cluster, observed).items() if peer in gone}
    there = {pod.name for pod in observed.pods}
    if there & set(pods.values()):
        return -1
    ordinals = map(ordinal_of, pods.values())
    return max((one for one in ordinals if _may_be_its(observed, cluster, one)), default=-1)


def _may_be_its(observed: Observed, cluster: str, ordinal: int) -> bool:
    volume = observed.volumes.get(names.claim_name(cluster, ordinal))
    return volume is not None and may_hold_data(volume) and not volume.terminating


def _majority_answers(observed: Observed) -> bool:
    """Whether most members that anybody lists answer: else a volume may be that of one which nobody could name."""
    inside = [view for pod, view in observed.peers.items() if pod not in outsiders(observed.views)]
    listed = {peer for view in inside for peer in view.peers}
    return len([view for view in inside if view.peer in listed]) * 2 > len(listed)


def _is_there(volumes: Mapping[str, Volume], cluster: str, member: Member) -> bool:
    volume = volumes.get(names.claim_name(cluster, ordinal_of(member.pod)))
    return volume is not None and volume.uid == member.claim_uid


def _split(present: int, replicas: int, alone: list[str]) -> tuple[Blocked, ...]:
    """A new peer asks any pod for admission; one that is alone would take it into its own cluster."""
    if replicas <= present:
        return ()
    message = (
        f"{', '.join(alone)} is out of service and not known to be a member now; if it is alone in a cluster of "
        "its own, a new peer could join it there: wait until it answers, or bring its old volume back; delete the pod "
        "and its claim only when you have seen that nothing in its GET /collections is needed"
    )
    return (Blocked(f"scale out to {replicas} peers", ClusterGuard.PEER_NOT_JOINED, message),)


def _any_volume(cluster: str, ordinal: int, claim: str, _volume: Volume) -> Blocked:
    step = f"scale out to {names.pod_name(cluster, ordinal)}"
    message = f"claim {claim} may be the volume of a member: waiting until a majority of the peers answers"
    return Blocked(step, ClusterGuard.PEERS_UNREACHABLE, message)


def _old_volume(cluster: str, ordinal: int, claim: str, volume: Volume) -> Blocked:
    step = f"scale out to {names.pod_name(cluster, ordinal)}"
    if volume.terminating:
        return Blocked(step, ClusterGuard.REMOVED_VOLUME_PRESENT, f"claim {claim} is being deleted")
    message = (
        f"claim {claim} holds a volume of no peer of this cluster: of a peer that was removed and can never join "
        "again, or of unknown origin, on which a pod could run a cluster of its own: save what you need of it, "
        f"then delete the claim (kubectl delete pvc {claim})"
    )
    return Blocked(step, ClusterGuard.REMOVED_VOLUME_PRESENT, message)


def update_records(previous: tuple[Member, ...], desired: str, observed: Observed) -> tuple[Member, ...]:
    """status.members after this look: new members are added, lost volumes dated, gone members forgotten."""
    known = {member.pod: member for member in previous}
    inside = _common(observed, previous)
    told = [
        view for view in observed.peers.values() if view.peer in inside and not _was_removed(view, observed)
    ]
    peers = {peer for view in told for peer in view.peers}
    for pod in observed.pods:
        found = _record(pod, observed, desired, inside)
        if not found and (pod.name not in known or known[pod.name].peer not in peers):
            found = _refused(pod, observed, desired)
        if found:
            known[pod.name] = found
    settled = bool(peers)
    kept = (m for m in known.values() if not settled or m.peer in peers or _pod_exists(m.pod, observed))
    return tuple(sorted((_dated(m, observed, peers) for m in kept), key=lambda m: ordinal_of(m.pod)))


def _was_removed(view: PeerView, observed: Observed) -> bool:
    """A leaving peer that knows itself only is no member any more: what it says is no news of the others."""
    leaves = observed.leaving is not None and view.peer == observed.leaving.peer
    return leaves and set(view.peers) <= {view.peer}


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


def _refused(pod: PodState, observed: Observed, cluster: str) -> Member | None:
    """A member that was lost before it was recorded, as Qdrant's last words prove; nobody knows its volume."""
    if not is_refused(pod):
        return None
    peer = next((peer for peer, name in members(cluster, observed).items() if name == pod.name), None)
    return None if peer is None else Member(pod.name, peer, "")


def _dated(member: Member, observed: Observed, peers: set[PeerId]) -> Member:
    answers = any(view.peer == member.peer for view in observed.peers.values())
    if answers or member.peer not in peers:
        return replace(member, lost_since=None)
    if is_lost(member, observed):
        return replace(member, lost_since=member.lost_since or observed.now)
    return member if starts_again(member, observed) else replace(member, lost_since=None)
