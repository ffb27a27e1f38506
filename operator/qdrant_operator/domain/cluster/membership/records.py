"""Which peer lives on which volume: `status.members`, brought up to date by a look.

Pure. The records are the evidence for lost volumes: they pair pod, peer id and claim, and are written before anything
is done.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.membership.identity import common_peers, members, ordinal_of
from qdrant_operator.domain.cluster.membership.lost_evidence import is_lost, is_refused, starts_again
from qdrant_operator.domain.cluster.observed import Member, Observed, PodState
from qdrant_operator.domain.common import names
from qdrant_operator.domain.qdrant.views import PeerId, PeerView


def update_records(previous: tuple[Member, ...], desired: str, observed: Observed) -> tuple[Member, ...]:
    """status.members after this look: new members are added, lost volumes dated, gone members forgotten."""
    known = {member.pod: member for member in previous}
    inside = common_peers(observed, previous)
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
