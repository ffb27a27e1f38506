"""Health of every shard of a cluster, against its wanted number of replicas. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qdrant_operator.domain.placement.wants import KeyWant
from qdrant_operator.domain.qdrant.soundness import (
    ShardHealth,
    ShardRef,
    answering,
    shard_health,
    wanted_replicas,
)
from qdrant_operator.domain.qdrant.views import ShardKey, View


def health(
    views: Mapping[str, View],
    wants: Mapping[tuple[str, ShardKey], KeyWant],
    floors: Mapping[str, int] | None = None,
) -> tuple[ShardHealth, ...]:
    """Health of all shards in these views; a shard key may have a factor of its own."""
    keys = _keys(views)
    found = shard_health(tuple(views.values()))
    return tuple(
        _at_factor(shard, keys.get((shard.collection, shard.shard)), wants, floors or {}) for shard in found
    )


def _keys(views: Mapping[str, View]) -> dict[ShardRef, ShardKey]:
    """Shard keys by shard, of the shards that have one."""
    keys: dict[ShardRef, ShardKey] = {}
    for view in answering(views.values()):
        for collection in view.collections:
            for shard in collection.shards:
                if shard.key is not None:
                    keys[collection.name, shard.shard] = shard.key
    return keys


def _at_factor(
    shard: ShardHealth,
    key: ShardKey | None,
    wants: Mapping[tuple[str, ShardKey], KeyWant],
    floors: Mapping[str, int],
) -> ShardHealth:
    want = wants.get((shard.collection, key)) if key is not None else None
    factor = want.factor if want else None
    return replace(shard, wanted=wanted_replicas(shard.wanted, floors.get(shard.collection), factor))
