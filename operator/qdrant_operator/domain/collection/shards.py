"""From what the peers say to what is known of one collection's shards and shard keys. Pure.

A key's points are known only when every replica of it was counted: silence is not emptiness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.observed import KeySeen
from qdrant_operator.domain.collection.shard_keys import declared_keys, key_factor
from qdrant_operator.domain.qdrant.soundness import ShardHealth, shard_health
from qdrant_operator.domain.qdrant.views import (
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardKey,
    ShardView,
    View,
)


def keys_seen(name: str, peers: Iterable[PeerView]) -> Mapping[ShardKey, KeySeen]:
    """Shard keys of collection `name` that any of these peers knows."""
    told_by = tuple(peers)
    told = {view.peer: _shards(view, name) for view in told_by}
    by_key: dict[ShardKey, set[ShardId]] = {}
    for shard in (shard for shards in told.values() for shard in shards.values()):
        if shard.key is not None:
            by_key.setdefault(shard.key, set()).add(shard.shard)
    moving = {shard for shard, _ in targets_of(name, told_by)}
    return {key: _key(ids, told, moving) for key, ids in by_key.items()}


def health_of(
    name: str, views: Sequence[View], spec: CollectionSpec, factor: int | None
) -> tuple[ShardHealth, ...]:
    """Health of the collection's shards, each with the factor that is wanted of it.

    `factor` is what Qdrant's config says. A declared one that is higher counts before Qdrant has it, and a peer that
    has not heard of a new one yet does not lower it.
    """
    least = max(factor or 1, spec.replication_factor or 1)
    keys = {
        shard.shard: shard.key
        for view in views
        if isinstance(view, PeerView)
        for shard in _shards(view, name).values()
    }
    declared = declared_keys(spec)

    def wanted(health: ShardHealth) -> int:
        key = keys.get(health.shard)
        own = declared.get(key) if key is not None else None
        return key_factor(own, max(health.wanted, least))

    mine = (health for health in shard_health(views) if health.collection == name)
    return tuple(replace(health, wanted=wanted(health)) for health in mine)


def targets_of(name: str, peers: Iterable[PeerView]) -> frozenset[tuple[ShardId, PeerId]]:
    """Shards of the collection and the peers that a running transfer brings them to."""
    found = (one for view in peers for one in view.collections if one.name == name)
    return frozenset((transfer.shard, transfer.target) for one in found for transfer in one.transfers)


def _shards(view: PeerView, name: str) -> Mapping[ShardId, ShardView]:
    found = next((one for one in view.collections if one.name == name), None)
    return {shard.shard: shard for shard in found.shards} if found else {}


def _key(
    ids: set[ShardId], told: Mapping[PeerId, Mapping[ShardId, ShardView]], moving: set[ShardId]
) -> KeySeen:
    known = [shard for shards in told.values() for number, shard in shards.items() if number in ids]
    points = [_points(number, told) for number in ids]
    return KeySeen(
        shards=len(ids),
        points=None if None in points else sum(one or 0 for one in points),
        holders=frozenset(peer for shard in known for peer in shard.states),
        unsettled=_unsettled(known, bool(ids & moving)),
    )


def _unsettled(known: Sequence[ShardView], moving: bool) -> str:
    """Qdrant heals a Dead replica by a transfer of its own, at any moment."""
    if moving:
        return "a shard of it is being transferred"
    states = {state for shard in known for state in shard.states.values()}
    return "" if states <= {ReplicaState.ACTIVE} else "a replica of it is being recovered, or waits for that"


def _points(number: ShardId, told: Mapping[PeerId, Mapping[ShardId, ShardView]]) -> int | None:
    """Points of a shard's fullest replica; None when one of its holders could not be counted."""
    shards = {peer: shards[number] for peer, shards in told.items() if number in shards}
    holders = {peer for shard in shards.values() for peer in shard.states}
    counted = [_counted(shards.get(peer)) for peer in holders]
    if not counted or None in counted:
        return None
    return max(one or 0 for one in counted)


def _counted(shard: ShardView | None) -> int | None:
    return shard.local.points if shard and shard.local and not shard.local.dummy else None
