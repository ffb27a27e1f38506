"""What QdrantCollections ask of placement beyond Qdrant's own configuration: factor and peers of shard keys.

Qdrant keeps one replication factor for a whole collection and no placement at all, so these stand in the specs
alone. Pure. A spec that cannot be read asks for nothing: its own loop tells of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    """Names of the pods whose peers may hold it; None: not limited so."""
    zone: str | None = None
    """Zone whose peers may hold it; None: not limited so."""


def wants(collections: Iterable[Manifest]) -> Mapping[tuple[str, ShardKey], KeyWant]:
    """Wants by name of the collection in Qdrant and shard key, from the QdrantCollections of one cluster.

    Where two objects claim the same collection, the older one is heard, as by the collection's own loop; an
    object that is being deleted is heard until it is gone.
    """
    heard = (_readable(one) for one in eldest(collections))
    return {(name, one.key): _want(one) for name, spec in filter(None, heard) for one in _keys(spec)}


def _readable(manifest: Manifest) -> tuple[str, CollectionSpec] | None:
    try:
        return collection_name(manifest), CollectionSpec.model_validate(manifest["spec"])
    except ValidationError:
        return None


def _keys(spec: CollectionSpec) -> Iterator[ShardingKey]:
    if spec.sharding and spec.sharding.method == "Custom":
        yield from spec.sharding.keys


def _want(key: ShardingKey) -> KeyWant:
    peers = key.peers
    if peers is None:
        return KeyWant(key.replication_factor)
    return KeyWant(key.replication_factor, frozenset(peers.pods) if peers.pods else None, peers.zone)
