"""Health of every shard of a cluster, at the number of replicas that is wanted of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qdrant_operator.domain.placement.wants import KeyWant
from qdrant_operator.domain.qdrant.soundness import ShardHealth, answering, shard_health, wanted_replicas
from qdrant_operator.domain.qdrant.views import ShardKey, View


def health(
    views: Mapping[str, View],
    wants: Mapping[tuple[str, ShardKey], KeyWant],
    floors: Mapping[str, int] | None = None,
) -> tuple[ShardHealth, ...]:
    """Health of all shards in these views; a shard key may have a factor of its own."""
    keys = {
        (collection.name, shard.shard): shard.key
        for view in answering(views.values())
        for collection in view.collections
        for shard in collection.shards
        if shard.key is not None
    }
    found = shard_health(tuple(views.values()))
    return tuple(_at_factor(one, keys.get((one.collection, one.shard)), wants, floors or {}) for one in found)


def _at_factor(
    one: ShardHealth,
    key: ShardKey | None,
    wants: Mapping[tuple[str, ShardKey], KeyWant],
    floors: Mapping[str, int],
) -> ShardHealth:
    want = wants.get((one.collection, key)) if key is not None else None
    factor = want.factor if want else None
    return replace(one, wanted=wanted_replicas(one.wanted, floors.get(one.collection), factor))
