"""Which replicas can be trusted: Active is not sound.

A replica is sound when its own peer answers, holds a readable copy whose count is plausible, and every peer
that answers calls it Active. A killed peer's replicas stay Active in every peer's view until a client writes,
and a shard that failed to load (a dummy) keeps its Active state while it holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardView,
    View,
)

COUNT_SLACK = 16
"""Points by which two sound replicas may differ although one has less than half: peers are asked one after
another while applications write."""

ShardRef = tuple[str, ShardId]


@dataclass(frozen=True, slots=True)
class ShardHealth:
    """One shard, seen by all peers that answer."""

    collection: str
    shard: ShardId
    wanted: int
    """The collection's replication factor."""
    holders: frozenset[PeerId]
    """Peers that any view calls a holder."""
    sound: frozenset[PeerId]
    dead: frozenset[PeerId]
    """Holders that any view calls Dead."""

    @property
    def healthy(self) -> bool:
        """At its factor, and every holder sound."""
        return len(self.sound) >= self.wanted and self.sound == self.holders

    @property
    def label(self) -> str:
        """The shard as users read it: collection/shard."""
        return f"{self.collection}/{self.shard}"


def answering(views: Iterable[View]) -> tuple[PeerView, ...]:
    """The views of peers that answer."""
    return tuple(view for view in views if isinstance(view, PeerView))


def sound_replicas(views: Sequence[View]) -> Mapping[ShardRef, frozenset[PeerId]]:
    """Every shard that any answering peer knows, and its sound holders."""
    return {(health.collection, health.shard): health.sound for health in shard_health(views)}


def shard_health(views: Sequence[View]) -> tuple[ShardHealth, ...]:
    """Health of every shard that any answering peer knows, ordered by collection and shard."""
    peers = answering(views)
    names = sorted({collection.name for view in peers for collection in view.collections})
    return tuple(health for name in names for health in _collection_health(name, peers))


def _collection_health(name: str, peers: tuple[PeerView, ...]) -> tuple[ShardHealth, ...]:
    by_peer = {view.peer: _collection(view, name) for view in peers}
    known = [collection for collection in by_peer.values() if collection]
    wanted = max(collection.replication_factor for collection in known)
    return tuple(_health(name, shard, wanted, by_peer) for shard in sorted(_shard_ids(known)))


def _collection(view: PeerView, name: str) -> CollectionView | None:
    return next((c for c in view.collections if c.name == name), None)


def _shard_ids(known: Sequence[CollectionView]) -> set[ShardId]:
    """Listed shards, and with automatic sharding those that lost every replica and are listed nowhere."""
    listed = {shard.shard for collection in known for shard in collection.shards}
    numbered = {ShardId(number) for c in known if not c.sharding_custom for number in range(c.shard_number)}
    return listed | numbered


def _health(
    name: str, shard: ShardId, wanted: int, by_peer: Mapping[PeerId, CollectionView | None]
) -> ShardHealth:
    reported = {peer: _shard(collection, shard) for peer, collection in by_peer.items()}
    holders = frozenset(holder for view in reported.values() if view for holder in view.states)
    sound = frozenset(peer for peer in holders if _is_sound(peer, reported))
    return ShardHealth(name, shard, wanted, holders, sound, _dead(reported))


def _shard(collection: CollectionView | None, shard: ShardId) -> ShardView | None:
    return next((s for s in collection.shards if s.shard == shard), None) if collection else None


def _dead(reported: Mapping[PeerId, ShardView | None]) -> frozenset[PeerId]:
    states = (item for view in reported.values() if view for item in view.states.items())
    return frozenset(peer for peer, state in states if state is ReplicaState.DEAD)


def _is_sound(peer: PeerId, reported: Mapping[PeerId, ShardView | None]) -> bool:
    agreed = all(view and view.states.get(peer) is ReplicaState.ACTIVE for view in reported.values())
    points = _points(reported.get(peer))
    return agreed and points is not None and _plausible(points, _best(reported))


def _points(view: ShardView | None) -> int | None:
    return view.local.points if view and view.local and not view.local.dummy else None


def _best(reported: Mapping[PeerId, ShardView | None]) -> int:
    return max((_points(view) or 0 for view in reported.values()), default=0)


def _plausible(points: int, best: int) -> bool:
    return points * 2 >= best or best - points <= COUNT_SLACK


def wanted_replicas(configured: int, declared: int | None = None, key_factor: int | None = None) -> int:
    """Replicas that a shard must have. The one rule for both loops.

    Args:
        configured: replication factor in Qdrant's configuration of the collection.
        declared: replicationFactor in a QdrantCollection; a higher one counts before Qdrant knows it, so that no
            replica is dropped that is created again a moment later.
        key_factor: factor of the shard's own shard key, which Qdrant does not keep; it comes first.
    """
    return key_factor or max(configured, declared or 0)
