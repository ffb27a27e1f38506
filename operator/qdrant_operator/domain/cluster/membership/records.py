"""Which peer runs on which volume: `status.members`, updated by an observation.

Pure. The records are the evidence for lost volumes: each has pod, peer id and claim, and is written before any other
step.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.membership.identity import common_peers, ordinal_of, pods_by_peer
from qdrant_operator.domain.cluster.membership.lost_evidence import is_lost, is_refused, starts_again
from qdrant_operator.domain.cluster.observed import Observed, PeerRecord, PodState
from qdrant_operator.domain.common import names
from qdrant_operator.domain.qdrant.views import PeerId, PeerView


def update_records(
    previous: tuple[PeerRecord, ...], desired: str, observed: Observed
) -> tuple[PeerRecord, ...]:
    """status.members after this observation: new peers are added, lost volumes dated, removed peers deleted."""
    known = {record.pod: record for record in previous}
    inside = common_peers(observed, previous)
    reporting = [
        view for view in observed.peers.values() if view.peer in inside and not _was_removed(view, observed)
    ]
    peers = {peer for view in reporting for peer in view.peers}
    for pod in observed.pods:
        found = _record(pod, observed, desired, inside)
        if not found and (pod.name not in known or known[pod.name].peer not in peers):
            found = _refused(pod, observed, desired)
        if found:
            known[pod.name] = found
    settled = bool(peers)
    kept = [
        record
        for record in known.values()
        if not settled or record.peer in peers or _pod_exists(record.pod, observed)
    ]
    dated = [_dated(record, observed, peers) for record in kept]
    return tuple(sorted(dated, key=lambda record: ordinal_of(record.pod)))


def _was_removed(view: PeerView, observed: Observed) -> bool:
    """A leaving peer that lists only itself is not in the cluster: its view says nothing about the others."""
    leaves = observed.leaving is not None and view.peer == observed.leaving.peer
    return leaves and set(view.peers) <= {view.peer}


def _pod_exists(name: str, observed: Observed) -> bool:
    return any(pod.name == name for pod in observed.pods)


def _record(pod: PodState, observed: Observed, cluster: str, inside: frozenset[PeerId]) -> PeerRecord | None:
    """A peer and its volume, if both are certain: a claim younger than the pod is not the pod's."""
    view = observed.peers.get(pod.name)
    volume = observed.volumes.get(names.claim_name(cluster, pod.ordinal))
    if view is None or view.peer not in inside or not view.voter or volume is None:
        return None
    if volume.terminating or pod.terminating or volume.created > pod.created:
        return None
    return PeerRecord(pod.name, view.peer, volume.uid)


def _refused(pod: PodState, observed: Observed, cluster: str) -> PeerRecord | None:
    """A peer that was lost before it was recorded, as Qdrant's last output proves; its volume is unknown."""
    if not is_refused(pod):
        return None
    peer = next((peer for peer, name in pods_by_peer(cluster, observed).items() if name == pod.name), None)
    return None if peer is None else PeerRecord(pod.name, peer, "")


def _dated(record: PeerRecord, observed: Observed, peers: set[PeerId]) -> PeerRecord:
    answers = any(view.peer == record.peer for view in observed.peers.values())
    if answers or record.peer not in peers:
        return replace(record, lost_since=None)
    if is_lost(record, observed):
        return replace(record, lost_since=record.lost_since or observed.now)
    return record if starts_again(record, observed) else replace(record, lost_since=None)
