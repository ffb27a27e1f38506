"""Merges the views of all peers into one layout that placement decides on.

Pure. Contradictions are kept, not resolved: a holder in any view is a holder, the least healthy state counts,
and a shard about which views disagree is `disputed`, so that nothing destructive is planned for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Observed, behind
from qdrant_operator.domain.placement.model import Layout, Peer, Replica, RunningTransfer, Shard
from qdrant_operator.domain.placement.wants import KeyWant
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    PeerId,
    PeerView,
    ReplicaState,
    ShardView,
    Transfer,
)

HEALTH = (ReplicaState.ACTIVE, ReplicaState.ACTIVE_READ, ReplicaState.LISTENER)
"""States in descending order of health; all others are worse and equal."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Intended role and pod of each peer."""

    pods: Mapping[PeerId, str]
    """Pod of every peer; an empty name where it is unknown."""
    leaving: frozenset[PeerId] = frozenset()
    lost: frozenset[PeerId] = frozenset()
    """Their volume is lost and the user allowed their replacement."""
    volume_bytes: int | None = None
    """Size of each peer's volume; None where unknown."""


def build_layout(observed: Observed, roles: Roles) -> Layout:
    """One layout of the peers and of every shard that any of them knows."""
    views = {view.peer: view for view in observed.peers.values()}
    collections = {name for view in views.values() for name in _names(view)}
    zones = {pod.name: pod.zone for pod in observed.pods}
    peers = tuple(
        _peer(peer, views.get(peer), collections, roles, zones.get(roles.pods[peer], ""))
        for peer in sorted(roles.pods)
    )
    return Layout(
        peers=peers,
        shards=tuple(_shard(health, views, peers, observed) for health in observed.shards),
        transfers=tuple(sorted(set(_transfers(views)), key=lambda t: (*t.ref, t.source, t.target))),
        unsettled=unsettled(observed),
        waits=observed.waits,
    )


def _free(view: PeerView | None, size: int | None) -> int | None:
    """Upper bound of the free space: a volume holds more than vectors and payloads."""
    if view is None or size is None:
        return None
    local = (s.local.bytes for c in view.collections for s in c.shards if s.local)
    return max(size - sum(local), 0)


def _names(view: PeerView) -> frozenset[str]:
    return frozenset(collection.name for collection in view.collections)


def _peer(peer: PeerId, view: PeerView | None, collections: set[str], roles: Roles, zone: str) -> Peer:
    """A peer that has just joined does not know every collection yet: it counts as not answering."""
    return Peer(
        id=peer,
        pod=roles.pods[peer] or f"peer {peer}",
        answers=view is not None and view.voter and _names(view) >= collections,
        leaving=peer in roles.leaving,
        lost=peer in roles.lost,
        zone=zone,
        free_bytes=_free(view, roles.volume_bytes),
    )


def unsettled(observed: Observed) -> str:
    """Why nothing may be planned: no leader that a quorum of answering voters follows, or stopped consensus.

    After a change the leader itself must answer: the others may not have applied it yet.
    """
    views = observed.peers
    known = {peer for view in views.values() for peer in view.peers}
    voters = [view for view in views.values() if view.voter]
    if len(voters) * 2 <= len(known):
        return f"{len(voters)} of {len(known)} peers answer and vote: that is no majority"
    if observed.leader is None:
        return "no leader is followed by a majority of the peers"
    if observed.just_changed and observed.pod_of(observed.leader) is None:
        return "the leader does not answer, and the other peers may not know the last change yet"
    stopped = sorted(pod for pod, view in views.items() if not view.consensus_working)
    if stopped:
        return f"consensus has stopped on {', '.join(stopped)}"
    return behind({pod: view for pod, view in views.items() if view.voter})


def _transfers(views: Mapping[PeerId, PeerView]) -> Iterator[RunningTransfer]:
    for view in views.values():
        for collection in view.collections:
            for transfer in collection.transfers:
                yield _running(collection.name, transfer)


def _running(collection: str, transfer: Transfer) -> RunningTransfer:
    return RunningTransfer(
        collection, transfer.shard, transfer.source, transfer.target, keeps_source=transfer.keeps_source
    )


def _shard(
    health: ShardHealth,
    views: Mapping[PeerId, PeerView],
    peers: Sequence[Peer],
    observed: Observed,
) -> Shard:
    found = {peer: _find(view, health) for peer, view in views.items()}
    known = [shard for _, shard in found.values() if shard is not None]
    key = next((shard.key for shard in known if shard.key is not None), None)
    want = KeyWant() if key is None else observed.wants.get((health.collection, key), KeyWant())
    ref = (health.collection, health.shard)
    return Shard(
        ref=ref,
        factor=health.wanted,
        replicas=tuple(
            Replica(peer, _state(peer, known), peer in health.sound, (ref, peer) in observed.stale)
            for peer in sorted(health.holders)
        ),
        bytes=max(
            (s.local.bytes for p, (_, s) in found.items() if s and s.local and p in health.sound), default=0
        ),
        key=key,
        allowed=_allowed(want, peers),
        disputed=_disputed(found, {peer.id for peer in peers if peer.answers}),
    )


def _find(view: PeerView, health: ShardHealth) -> tuple[CollectionView | None, ShardView | None]:
    collection = next((c for c in view.collections if c.name == health.collection), None)
    shards = collection.shards if collection else ()
    return collection, next((shard for shard in shards if shard.shard == health.shard), None)


def _state(peer: PeerId, known: Sequence[ShardView]) -> ReplicaState:
    states = [shard.states[peer] for shard in known if peer in shard.states]
    return max(states, key=lambda state: HEALTH.index(state) if state in HEALTH else len(HEALTH))


def _allowed(want: KeyWant, peers: Sequence[Peer]) -> frozenset[PeerId] | None:
    if want.pods is None and want.zone is None:
        return None
    return frozenset(
        peer.id
        for peer in peers
        if (want.pods is None or peer.pod in want.pods) and (want.zone is None or peer.zone == want.zone)
    )


def _disputed(
    found: Mapping[PeerId, tuple[CollectionView | None, ShardView | None]], settled: set[PeerId]
) -> str:
    """Contradictions among peers that have caught up; resharding anywhere."""
    if any(collection and collection.resharding for collection, _ in found.values()):
        return "its collection is being resharded"
    seen = [shard.states if shard else {} for peer, (_, shard) in found.items() if peer in settled]
    if any(states != seen[0] for states in seen[1:]):
        return "the peers contradict each other about its replicas"
    return ""
