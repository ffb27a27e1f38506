"""Which peers are in the cluster, and in which pods they run.

Pure. `status.members` is the evidence: it records pod, peer id and claim, and is written before any other step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from qdrant_operator.domain.cluster.observed import (
    Leaving,
    LeavingPhase,
    Observed,
    PeerRecord,
    PodState,
)
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, View


def detached(views: Mapping[str, View], records: Collection[PeerRecord] = ()) -> frozenset[str]:
    """Pods whose peer is in no cluster with the others: a removed peer, or one that formed its own cluster.

    A peer is alone when it lists no other peer. It is detached if other peers list each other. If all peers are alone,
    those that `records` do not name are detached; without records, those whose consensus has stopped, as that of a
    removed peer does.
    """
    answering = {pod: view for pod, view in views.items() if isinstance(view, PeerView)}
    alone = {pod for pod, view in answering.items() if set(view.peers) <= {view.peer}}
    if len(alone) < len(answering):
        return frozenset(alone)
    known = {record.peer for record in records}
    foreign = {pod for pod in alone if known and answering[pod].peer not in known}
    stopped = {pod for pod in alone if not answering[pod].consensus_working}
    return frozenset(foreign or (stopped if len(stopped) < len(answering) else ()))


def detached_pods(observed: Observed) -> tuple[str, ...]:
    """Pods whose peer is detached from the cluster, by views and records."""
    return tuple(sorted(detached(observed.views, observed.records)))


def pods_by_peer(cluster: str, observed: Observed) -> dict[PeerId, str]:
    """Every peer that any view of the cluster lists, and its pod; an empty name where that is unknown."""
    inside = [
        view for view in observed.peers.values() if view.peer in common_peers(observed, observed.records)
    ]
    uris = {peer: uri for view in inside for peer, uri in view.peers.items()}
    own = {view.peer: pod for pod, view in observed.peers.items()}
    recorded = {record.peer: record.pod for record in observed.records}
    hosts = {pod.address: pod.name for pod in observed.pods if pod.address}
    return {
        peer: own.get(peer) or recorded.get(peer) or _pod_of(cluster, uri, hosts)
        for peer, uri in sorted(uris.items())
    }


def in_cluster(observed: Observed, peer: PeerId) -> bool:
    """Whether the leader lists a peer; without a known leader, whether any peer does.

    The leader applies a removal first; other peers may list the removed peer for seconds after that.
    """
    leader = observed.pod_of(observed.leader)
    views = [observed.peers[leader]] if leader else list(observed.peers.values())
    return any(peer in view.peers for view in views)


def common_peers(observed: Observed, records: Collection[PeerRecord]) -> frozenset[PeerId]:
    """Peers that answer and are not detached."""
    outside = detached(observed.views, records)
    return frozenset(view.peer for pod, view in observed.peers.items() if pod not in outside)


def _pod_of(cluster: str, uri: str, hosts: Mapping[str, str]) -> str:
    host = _host(uri)
    name = host.split(".")[0]
    tail = name.removeprefix(f"{cluster}-")
    return name if tail != name and tail.isdigit() else hosts.get(host, "")


def _host(uri: str) -> str:
    """The host in the URI that a peer announces; empty where it cannot be parsed."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def ordinal_of(pod: str) -> int:
    """Ordinal in a pod's name; -1 where the name is unknown."""
    tail = pod.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def find_removed_pod(
    leaving: Leaving | None, pods: tuple[PodState, ...], views: Mapping[str, View]
) -> PodState | None:
    """The pod of the leaving peer, once that peer is not in the cluster."""
    pod = next((pod for pod in pods if leaving and pod.name == leaving.pod), None)
    if pod is None or leaving is None:
        return None
    outside = pod.name in detached(views) or _unaware(leaving, views)
    return pod if outside or leaving.phase is LeavingPhase.REMOVED else None


def _unaware(leaving: Leaving, views: Mapping[str, View]) -> bool:
    """Whether a majority of the others answers and none of them lists the leaving peer, although it lists itself.

    Raft sends nothing to a peer that is not in the cluster: a peer that was slow at that moment never learns of its
    removal. Qdrant's peer then requests votes without a limit, and each request costs the others their leader
    (measured on 1.19.0).
    """
    own = views.get(leaving.pod)
    if not isinstance(own, PeerView) or own.peer != leaving.peer:
        return False
    others = [view for view in views.values() if isinstance(view, PeerView) and view.peer != own.peer]
    known = {peer for view in others for peer in view.peers}
    return own.peer not in known and len([view for view in others if view.voter]) * 2 > len(known)
