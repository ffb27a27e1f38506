"""What QdrantCollections ask of placement beyond Qdrant's own configuration: factor and peers of shard keys.

Qdrant keeps one replication factor for a whole collection and no placement at all, so only the specs have these.
Pure. A spec that cannot be read asks for nothing: the collection's own loop reports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from qdrant_operator.api import CollectionSpec, ShardingKey
from qdrant_operator.domain.common.collection_names import collection_name, eldest
from qdrant_operator.domain.common.kinds import Manifest
from qdrant_operator.domain.qdrant.views import ShardKey


@dataclass(frozen=True, slots=True)
class KeyWant:
    """What is asked for one shard key of one collection."""

    factor: int | None = None
    """Replicas of each of its shards; None: the collection's replication factor."""
    pods: frozenset[str] | None = None
    """Names of the pods whose peers may hold it; None: any."""
    zone: str | None = None
    """Zone whose peers may hold it; None: any."""


def wants(collections: Iterable[Manifest]) -> Mapping[tuple[str, ShardKey], KeyWant]:
    """Wants by name of the collection in Qdrant and shard key, from the QdrantCollections of one cluster.

    Where two objects claim the same collection, the older one counts, as in the collection's own loop; an object
    that is being deleted counts until it is gone.
    """
    found: dict[tuple[str, ShardKey], KeyWant] = {}
    for manifest in eldest(collections):
        name, keys = _readable(manifest)
        found.update({(name, key.key): _want(key) for key in keys})
    return found


def _readable(manifest: Manifest) -> tuple[str, Sequence[ShardingKey]]:
    """The collection's name and the shard keys of its spec; no keys where the spec cannot be read."""
    try:
        name, spec = collection_name(manifest), CollectionSpec.model_validate(manifest["spec"])
    except ValidationError:
        return "", ()
    custom = spec.sharding is not None and spec.sharding.method == "Custom"
    return name, spec.sharding.keys if spec.sharding and custom else ()


def _want(key: ShardingKey) -> KeyWant:
    peers = key.peers
    if peers is None:
        return KeyWant(key.replication_factor)
    return KeyWant(key.replication_factor, frozenset(peers.pods) if peers.pods else None, peers.zone)
