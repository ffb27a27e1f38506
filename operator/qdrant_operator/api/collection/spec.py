"""QdrantCollection: a collection in a cluster, as it shall be and as it is.

No I/O here. Fields without a default mean Qdrant's own choice when absent. Which changes Qdrant cannot
make is decided against the world, in a condition; only what names the collection is immutable here.
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

Qdrant names directories and files after it, and file systems take 255 bytes a name. Qdrant 1.19 adds at most 58:
`-<peer>-<time>.snapshot-temp-<random>` around a snapshot of a collection (peer ids of 16 digits), and
`-shard-<shard>-<time>.snapshot-temp-<random>` around one of a shard (shard ids of 10 digits). What is left of 197
is room for a longer suffix in a later release.
"""


def _fits(field: str) -> dict[str, Any]:
    """The rule that Qdrant can make files for this name, and that it stays one segment of a path."""
    return rules(
        rule(
            f"bytes(self).size() <= {NAME_BYTES}",
            f"spec.{field}: at most {NAME_BYTES} bytes (a character takes up to 4), because Qdrant names files after "
            "it; choose a shorter name",
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
"""Names that Qdrant takes for collections."""
AliasName = Annotated[str, _collection_name("aliases")]
"""Names that Qdrant takes for aliases: those of collections, so that an alias can become one."""

_FIXED_CLUSTER = rules(
    rule(
        "self == oldSelf",
        "spec.clusterRef: cannot be changed; put the old name back, or make another QdrantCollection for the "
        "other cluster",
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
    """What the collection shall be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.vectors) || !has(self.namedVectors)",
                "spec.vectors: excludes spec.namedVectors; for one unnamed vector keep vectors, else move it "
                "into namedVectors under a name",
            ),
            rule(
                "has(self.vectors) || has(self.namedVectors) || has(self.sparseVectors)",
                "spec.vectors: a collection needs a vector; set one of vectors, namedVectors and sparseVectors",
            ),
            rule(
                "!has(self.namedVectors) || !has(self.sparseVectors) || "
                "self.sparseVectors.all(name, !(name in self.namedVectors))",
                "spec.sparseVectors: a name stands in spec.namedVectors too; give one of them another name",
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
    """Sparse vectors by name, beside the others or alone."""
    shard_number: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Shards; absent: one per peer when the collection is made, unless spec.config.storage.collection of the
    QdrantCluster says otherwise. Qdrant cannot change it in place."""
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas of each shard, on different peers; absent: 1, unless spec.config.storage.collection of the
    QdrantCluster says otherwise. Two or more survive the loss of a peer."""
    write_consistency_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas that must take a write before it is acknowledged; absent: 1, unless spec.config.storage.collection
    of the QdrantCluster says otherwise."""
    read_fan_out_factor: Count | None = None
    """Further replicas that a read is sent to at once; the quickest answer counts. Absent: 0."""
    sharding: Sharding | None = None
    """How points are divided into shards; absent: as Qdrant does it, by their ids."""
    on_disk_payload: bool | None = None
    """True: payloads are read from disk instead of memory."""
    hnsw: Hnsw | None = None
    """The graph that makes vector search quick."""
    optimizers: Optimizers | None = None
    """When segments are rebuilt."""
    wal: Wal | None = None
    """The write-ahead log of each shard. Qdrant cannot change it later."""
    quantization: Quantization | None = None
    """Smaller copies of the vectors for quick search."""
    strict_mode: StrictMode | None = None
    """Limits on what applications may ask of the collection."""
    payload_indexes: Annotated[
        tuple[PayloadIndex, ...], Field(max_length=100, json_schema_extra=list_map("field"))
    ] = ()
    """Payload fields that can be filtered by quickly. Missing indexes are built, others are kept."""
    prune_payload_indexes: bool = False
    """True: indexes that are not declared are removed."""
    aliases: Annotated[tuple[AliasName, ...], Field(max_length=100, json_schema_extra=LIST_SET)] = ()
    """Other names for the collection; moved in one atomic call."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the collection and its data when this object is deleted."""
    adoption: Literal["IfMatching", "Never"] = "IfMatching"
    """Whether a collection of this name that exists already may become this one."""


class CollectionPhase(StrEnum):
    """One word for people; decisions read conditions and facts instead."""

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
    """Replicas that the collection asks for."""
    sound: Count = 0
    """Replicas that are active, on a peer that answers, and complete."""


class Drift(Model):
    """A setting that is not yet, or cannot be, what the spec says."""

    field: str
    """Path in spec, for example hnsw.m."""
    wanted: str
    """What the spec says."""
    actual: str
    """What Qdrant says."""
    why: str = ""
    """Why they differ, and what would be needed."""


class CollectionStatus(Status):
    """What is true of the collection now."""

    phase: CollectionPhase | None = None
    """One word for people; wait for the condition Ready instead."""
    active_name: str | None = None
    """Name of the collection in Qdrant."""
    owned: bool | None = None
    """True once this object has made or adopted the collection; only then is it ever changed or deleted."""
    points: Count | None = None
    """Points in the collection, as Qdrant estimates them."""
    indexed_vectors: Count | None = None
    """Vectors that are in an index."""
    segments: Count | None = None
    """Segments of all shards."""
    optimizer: str | None = None
    """What the optimizer says: ok, or its error."""
    shards: CollectionShards | None = None
    """Replicas of the collection's shards."""
    shards_sound: str | None = None
    """Sound replicas of wanted replicas, for example 12/12."""
    plan: tuple[str, ...] = ()
    """The first steps that will be taken."""
    blocked: tuple[Blocked, ...] = ()
    """Steps that a guard holds back."""
    drift: tuple[Drift, ...] = ()
    """Settings that are not what the spec says."""
    aliases: tuple[str, ...] = ()
    """Aliases that this object has made; one that the spec drops is taken away only if it stands here."""
    shard_keys: tuple[KeyName, ...] = ()
    """Shard keys that this object has declared; one that the spec drops is removed only if it stands here."""
