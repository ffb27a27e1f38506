"""Sharding of a collection, and the shard keys of a collection with custom sharding.

No I/O here. A key is text or a number, and 1 and "1" are different keys, as in Qdrant.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictInt, StrictStr

from qdrant_operator.api.base import LIST_SET, Model, ObjectName, rule, rules

KeyName = Annotated[
    StrictInt | StrictStr,
    Field(
        json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0, "minLength": 1, "maxLength": 128}
    ),
]
"""A shard key: text, or a number from 0."""


class KeyPeers(Model):
    """Peers that may hold a shard key."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.zone) != has(self.pods)",
                "spec.sharding.keys.peers: set exactly one of zone and pods; remove the other, or remove peers "
                "to allow every peer",
            )
        )
    )

    zone: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Only peers in this zone. Excludes pods."""
    pods: (
        Annotated[tuple[ObjectName, ...], Field(min_length=1, max_length=100, json_schema_extra=LIST_SET)]
        | None
    ) = None
    """Only the peers in these pods, for example vectors-0. Excludes zone."""


class ShardingKey(Model):
    """One shard key: a part of the collection that applications select by name."""

    key: KeyName
    """Name of the key. 1 and "1" are different keys."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Shards of the key. Qdrant cannot change it after the key is created."""
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas of each of its shards, on different peers; absent: the collection's replicationFactor."""
    peers: KeyPeers | None = None
    """Peers that may hold it; absent: all."""


class Sharding(Model):
    """How points are divided into shards."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.method == 'Custom' || !has(self.keys) || size(self.keys) == 0",
                "spec.sharding.keys: only with method Custom; remove the keys or set method to Custom",
            ),
            rule(
                "!has(self.keys) || self.keys.all(item, self.keys.exists_one(other, other.key == item.key))",
                "spec.sharding.keys: duplicate key; remove one of the two",
            ),
        )
    )

    method: Annotated[
        Literal["Auto", "Custom"],
        Field(
            json_schema_extra=rules(
                rule(
                    "self == oldSelf",
                    "spec.sharding.method: cannot be changed after Qdrant has created the collection; restore the "
                    "old value, or create another QdrantCollection and copy the points",
                )
            )
        ),
    ] = "Auto"
    """Auto: Qdrant divides points by their ids. Custom: applications set a shard key in each write."""
    keys: Annotated[tuple[ShardingKey, ...], Field(max_length=256)] = ()
    """The shard keys. Missing keys are created; others are removed as onKeyRemoval defines."""
    on_key_removal: Literal["Refuse", "Delete"] = "Refuse"
    """What happens to a key that is no longer declared. Refuse: it is removed only if it holds no points. Delete: it is
    removed with its points."""
