"""Sharding: how a collection's points are divided, and the shard keys of a collection that is divided by hand.

No I/O here. A key is text or a number, and 1 and "1" are two keys: Qdrant tells them apart, so does this module.
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
"""A shard key as applications name it: text, or a number from 0."""


class KeyPeers(Model):
    """The peers that may hold a shard key."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.zone) != has(self.pods)",
                "spec.sharding.keys.peers: set exactly one of zone and pods; remove the other, or remove peers "
                "to let every peer hold the key",
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
    """One shard key: a part of the collection that applications write to and search by name."""

    key: KeyName
    """What applications call it. 1 and "1" are two keys."""
    shards: Annotated[int, Field(ge=1, le=1000)] = 1
    """Shards of the key. Qdrant cannot change it once the key is made."""
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
                "!has(self.keys) || self.keys.all(one, self.keys.exists_one(other, other.key == one.key))",
                "spec.sharding.keys: a key stands there twice; remove one of the two",
            ),
        )
    )

    method: Annotated[
        Literal["Auto", "Custom"],
        Field(
            json_schema_extra=rules(
                rule(
                    "self == oldSelf",
                    "spec.sharding.method: cannot be changed, Qdrant decides it when it makes a collection; put "
                    "the old value back, or make another QdrantCollection and copy the points",
                )
            )
        ),
    ] = "Auto"
    """Auto: Qdrant divides points by their ids. Custom: applications name a shard key with each write."""
    keys: Annotated[tuple[ShardingKey, ...], Field(max_length=256)] = ()
    """The shard keys. Missing ones are made, their replicas follow; others are removed as onKeyRemoval says."""
    on_key_removal: Literal["Refuse", "Delete"] = "Refuse"
    """What becomes of a key that is not declared: Refuse removes it only when it holds no point; Delete removes
    it with its points."""
