"""What the peers' views say about one collection's shards and shard keys. Pure.

A key's points are known only when every replica of it was counted: silence is not emptiness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.observed import KeySeen
from qdrant_operator.domain.collection.shards.keys import declared_keys
from qdrant_operator.domain.qdrant.soundness import ShardHealth, answering, shard_health, wanted_replicas
from qdrant_operator.domain.qdrant.views import (
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardKey,
    ShardView,
    View,
)

ShardsByPeer = Mapping[PeerId, Mapping[ShardId, ShardView]]
"""What each peer's view says of the collection's shards."""


def keys_seen(name: str, peers: Iterable[PeerView]) -> Mapping[ShardKey, KeySeen]:
    """Shard keys of collection `name` that any of these peers knows."""
    views = tuple(peers)
    known = {view.peer: _shards(view, name) for view in views}
    by_key: dict[ShardKey, set[ShardId]] = {}
    for shards in known.values():
        for shard in shards.values():
            if shard.key is not None:
                by_key.setdefault(shard.key, set()).add(shard.shard)
    moving = {shard for shard, _ in targets_of(name, views)}
    return {key: _key(ids, known, moving) for key, ids in by_key.items()}


def health_of(
    name: str, views: Sequence[View], spec: CollectionSpec, factor: int | None
) -> tuple[ShardHealth, ...]:
    """Health of the collection's shards, each with the factor that is wanted of it.

    `factor` is what Qdrant's config says. A declared one that is higher counts before Qdrant has it, and a peer that
    does not know a new one yet does not lower it.
    """
    keys: dict[ShardId, ShardKey | None] = {}
    for view in answering(views):
        keys.update({shard.shard: shard.key for shard in _shards(view, name).values()})
    declared = declared_keys(spec)

    def wanted(health: ShardHealth) -> int:
        key = keys.get(health.shard)
        own = declared.get(key) if key is not None else None
        configured = max(health.wanted, factor or 1)
        return wanted_replicas(configured, spec.replication_factor, own.replication_factor if own else None)

    mine = (health for health in shard_health(views) if health.collection == name)
    return tuple(replace(health, wanted=wanted(health)) for health in mine)


def targets_of(name: str, peers: Iterable[PeerView]) -> frozenset[tuple[ShardId, PeerId]]:
    """Shards of the collection and the peers that a running transfer brings them to."""
    targets: set[tuple[ShardId, PeerId]] = set()
    for view in peers:
        for collection in view.collections:
            if collection.name == name:
                targets.update((transfer.shard, transfer.target) for transfer in collection.transfers)
    return frozenset(targets)


def _shards(view: PeerView, name: str) -> Mapping[ShardId, ShardView]:
    for collection in view.collections:
        if collection.name == name:
            return {shard.shard: shard for shard in collection.shards}
    return {}


def _key(ids: set[ShardId], known: ShardsByPeer, moving: set[ShardId]) -> KeySeen:
    replicas: list[ShardView] = []
    for shards in known.values():
        replicas += [shard for number, shard in shards.items() if number in ids]
    points = [_points(number, known) for number in ids]
    return KeySeen(
        shards=len(ids),
        points=None if None in points else sum(number or 0 for number in points),
        holders=frozenset(peer for shard in replicas for peer in shard.states),
        unsettled=_unsettled(replicas, bool(ids & moving)),
    )


def _unsettled(replicas: Sequence[ShardView], moving: bool) -> str:
    """Qdrant heals a Dead replica by a transfer of its own, at any moment."""
    if moving:
        return "a shard of it is being transferred"
    states = {state for shard in replicas for state in shard.states.values()}
    return "" if states <= {ReplicaState.ACTIVE} else "a replica of it is recovering, or waits to recover"


def _points(number: ShardId, known: ShardsByPeer) -> int | None:
    """Points of a shard's fullest replica; None when one of its holders could not be counted."""
    shards = {peer: shards[number] for peer, shards in known.items() if number in shards}
    holders = {peer for shard in shards.values() for peer in shard.states}
    counted = [_counted(shards.get(peer)) for peer in holders]
    if not counted or None in counted:
        return None
    return max(number or 0 for number in counted)


def _counted(shard: ShardView | None) -> int | None:
    return shard.local.points if shard and shard.local and not shard.local.dummy else None
