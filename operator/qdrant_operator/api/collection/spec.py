"""QdrantCollection: desired and current state of a collection in a cluster.

No I/O here. For an absent field without a default, Qdrant's own default applies. Only the fields that name the
collection are immutable in the schema; the condition Synced reports other changes that Qdrant cannot make.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import LIST_SET, Blocked, LocalRef, Model, Status, list_map, rule, rules
from qdrant_operator.api.collection.indexes import PayloadIndex
from qdrant_operator.api.collection.sharding import KeyName, Sharding
from qdrant_operator.api.collection.tuning import Count, Hnsw, Optimizers, Quantization, StrictMode, Wal
from qdrant_operator.api.collection.vectors import SparseVector, Vector

NAME_BYTES = 180
"""Longest name of a collection, in bytes of UTF-8.

Qdrant uses it in the names of directories and files, and file systems allow 255 bytes. Qdrant 1.19 adds at most 58:
`-<peer>-<time>.snapshot-temp-<random>` around a snapshot of a collection (peer ids of 16 digits), and
`-shard-<shard>-<time>.snapshot-temp-<random>` around one of a shard (shard ids of 10 digits). The rest of 197
is reserved for a longer suffix in a later release.
"""


def _fits(field: str) -> dict[str, Any]:
    """The rule that Qdrant can create files for this name, and that it is one segment of a path."""
    return rules(
        rule(
            f"bytes(self).size() <= {NAME_BYTES}",
            f"spec.{field}: at most {NAME_BYTES} bytes (a character takes up to 4), because Qdrant uses it in file "
            "names; choose a shorter name",
        ),
        rule("!(self in ['.', '..'])", f"spec.{field}: . and .. are directories; choose another name"),
    )


def _collection_name(field: str) -> Any:
    return Field(
        min_length=1,
        max_length=255,
        pattern=r'^[^<>:"/\\|?*\x00-\x1f]+$',
        json_schema_extra=_fits(field),
    )


CollectionName = Annotated[str, _collection_name("name")]
"""Names that Qdrant accepts for collections."""
AliasName = Annotated[str, _collection_name("aliases")]
"""Names that Qdrant accepts for aliases: those of collections, so that a collection can replace an alias."""

_FIXED_CLUSTER = rules(
    rule(
        "self == oldSelf",
        "spec.clusterRef: cannot be changed; restore the old name, or create another QdrantCollection for "
        "the other cluster",
    )
)


def _vector_names(field: str) -> dict[str, Any]:
    """Qdrant 1.19, `validate_vector_name`: 1 to 200 bytes, none of the characters that file systems refuse."""
    return rules(
        rule(
            "self.all(name, name.size() > 0 && bytes(name).size() <= 200 && "
            """!name.matches(r'[<>:"/\\\\|?*\\x00-\\x1f]'))""",
            f"spec.{field}: a vector's name must have 1 to 200 bytes and none of < > : \" / \\ | ? *; rename it",
        )
    )


class CollectionSpec(Model):
    """Desired state of the collection."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.vectors) || !has(self.namedVectors)",
                "spec.vectors: excludes spec.namedVectors; for one unnamed vector keep vectors, otherwise move it "
                "into namedVectors under a name",
            ),
            rule(
                "has(self.vectors) || has(self.namedVectors) || has(self.sparseVectors)",
                "spec.vectors: a collection needs a vector; set one of vectors, namedVectors and sparseVectors",
            ),
            rule(
                "!has(self.namedVectors) || !has(self.sparseVectors) || "
                "self.sparseVectors.all(name, !(name in self.namedVectors))",
                "spec.sparseVectors: duplicate name, it is also in spec.namedVectors; rename one of the two",
            ),
            rule(
                "!has(self.writeConsistencyFactor) || self.writeConsistencyFactor <= "
                "(has(self.replicationFactor) ? self.replicationFactor : 1)",
                "spec.writeConsistencyFactor: larger than spec.replicationFactor (1 when absent), so no write "
                "could succeed; lower it or raise replicationFactor",
            ),
        )
    )

    cluster_ref: Annotated[LocalRef, Field(json_schema_extra=_FIXED_CLUSTER)]
    """The QdrantCluster that holds it, in the same namespace."""
    name: CollectionName | None = None
    """Name of the collection in Qdrant, at most 180 bytes; absent: metadata.name. It cannot be changed."""
    vectors: Vector | None = None
    """The one unnamed vector of each point. Excludes namedVectors."""
    named_vectors: (
        Annotated[
            Mapping[str, Vector],
            Field(min_length=1, max_length=64, json_schema_extra=_vector_names("namedVectors")),
        ]
        | None
    ) = None
    """Vectors by name. Excludes vectors."""
    sparse_vectors: (
        Annotated[
            Mapping[str, SparseVector],
            Field(min_length=1, max_length=64, json_schema_extra=_vector_names("sparseVectors")),
        ]
        | None
    ) = None
    """Sparse vectors by name, alone or in addition to other vectors."""
    shard_number: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Number of shards; absent: one per peer when the collection is created, unless spec.config.storage.collection of
    the QdrantCluster sets a default. Qdrant cannot change it in place."""
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas of each shard, on different peers; absent: 1, unless spec.config.storage.collection of the
    QdrantCluster sets a default. With 2 or more, no data is lost with one peer."""
    write_consistency_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas that must confirm a write before it is acknowledged; absent: 1, unless spec.config.storage.collection
    of the QdrantCluster sets a default."""
    read_fan_out_factor: Count | None = None
    """Additional replicas that a read is sent to at the same time; the fastest answer is used. Absent: 0."""
    sharding: Sharding | None = None
    """How points are distributed to shards; absent: by their ids, Qdrant's default."""
    on_disk_payload: bool | None = None
    """True: payloads are read from disk instead of memory."""
    hnsw: Hnsw | None = None
    """The HNSW graph for vector search."""
    optimizers: Optimizers | None = None
    """When segments are rebuilt."""
    wal: Wal | None = None
    """The write-ahead log of each shard. Qdrant cannot change it later."""
    quantization: Quantization | None = None
    """Compressed copies of the vectors for fast search."""
    strict_mode: StrictMode | None = None
    """Limits for requests of applications to the collection."""
    payload_indexes: Annotated[
        tuple[PayloadIndex, ...], Field(max_length=100, json_schema_extra=list_map("field"))
    ] = ()
    """Payload fields with an index for filtering. Missing indexes are created, others are kept."""
    prune_payload_indexes: bool = False
    """True: indexes that are not declared are removed."""
    aliases: Annotated[tuple[AliasName, ...], Field(max_length=100, json_schema_extra=LIST_SET)] = ()
    """Other names for the collection; moved in one atomic call."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the collection and its data are deleted with this object."""
    adoption: Literal["IfMatching", "Never"] = "IfMatching"
    """IfMatching: an existing collection of this name is adopted if it is as declared. Never: it is not adopted."""


class CollectionPhase(StrEnum):
    """Summary for display; decisions use conditions and observed state instead."""

    PENDING = "Pending"
    CREATING = "Creating"
    READY = "Ready"
    UPDATING = "Updating"
    DEGRADED = "Degraded"
    BLOCKED = "Blocked"
    DELETING = "Deleting"
    UNKNOWN = "Unknown"


class CollectionShards(Model):
    """Replicas of the collection's shards."""

    wanted: Count = 0
    """Desired replicas of the collection."""
    sound: Count = 0
    """Replicas that are active, on a peer that answers, and complete."""


class Drift(Model):
    """A setting that differs from the spec."""

    field: str
    """Path in spec, for example hnsw.m."""
    wanted: str
    """Value in the spec."""
    actual: str
    """Value in Qdrant."""
    why: str = ""
    """Why the values differ, and what would be needed."""


class CollectionStatus(Status):
    """Current state of the collection."""

    phase: CollectionPhase | None = None
    """Summary for display; wait for the condition Ready instead."""
    active_name: str | None = None
    """Name of the collection in Qdrant."""
    owned: bool | None = None
    """True after this object has created or adopted the collection. Otherwise it is neither changed nor deleted."""
    points: Count | None = None
    """Points in the collection, as Qdrant estimates them."""
    indexed_vectors: Count | None = None
    """Indexed vectors."""
    segments: Count | None = None
    """Segments of all shards."""
    optimizer: str | None = None
    """State of the optimizer: ok, or its error."""
    shards: CollectionShards | None = None
    """Replicas of the collection's shards."""
    shards_sound: str | None = None
    """Sound and desired replicas, for example 12/12."""
    plan: tuple[str, ...] = ()
    """The next steps, in order."""
    blocked: tuple[Blocked, ...] = ()
    """Steps that a guard blocks."""
    drift: tuple[Drift, ...] = ()
    """Settings that differ from the spec."""
    aliases: tuple[str, ...] = ()
    """Aliases that this object has created. One that the spec no longer has is deleted only if listed here."""
    shard_keys: tuple[KeyName, ...] = ()
    """Shard keys of this object. One that the spec no longer has is deleted only if listed here."""
