"""How a collection is indexed, optimised, logged and guarded: Qdrant's own settings with Qdrant's own bounds.

No I/O here. Attribute names are exactly those of Qdrant's REST API, so `words()` is the body of a request.
No field has a default: absent means what Qdrant does by itself. Settings that Qdrant calls deprecated and
that its successors make needless are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import Model, rule, rules

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Hnsw(Model):
    """The graph that makes vector search quick."""

    m: Count | None = None
    """Edges per node. More: better results, more memory. 0: no graph."""
    ef_construct: Annotated[int, Field(ge=4)] | None = None
    """Neighbours considered while building. More: better results, slower building."""
    full_scan_threshold: Annotated[int, Field(ge=10)] | None = None
    """Below this size of candidates, in kilobytes, all are compared instead of walking the graph."""
    max_indexing_threads: Count | None = None
    """Threads that build one graph; 0: chosen by Qdrant."""
    on_disk: bool | None = None
    """True: the graph is read from disk instead of memory."""
    payload_m: Count | None = None
    """Edges per node of the additional graphs for indexed payload fields."""
    inline_storage: bool | None = None
    """True: vectors are copied into the graph's file: fewer random reads, more disk. Needs quantization."""


class Optimizers(Model):
    """When segments are rebuilt."""

    deleted_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Fraction of deleted vectors from which a segment is rebuilt."""
    vacuum_min_vector_number: Annotated[int, Field(ge=100)] | None = None
    """Smaller segments are not rebuilt because of deleted vectors."""
    default_segment_number: Count | None = None
    """Segments per shard that Qdrant aims at; 0: by the number of CPUs."""
    max_segment_size: Positive | None = None
    """Largest segment, in kilobytes."""
    indexing_threshold: Count | None = None
    """Size in kilobytes from which a segment gets a graph; 0: never."""
    flush_interval_sec: Count | None = None
    """Least time between two flushes to disk, in seconds."""
    max_optimization_threads: (
        Annotated[
            int | str,
            Field(
                json_schema_extra={
                    "x-kubernetes-int-or-string": True,
                    "minimum": 0,
                    "maxLength": 4,
                    "pattern": "^auto$",
                }
            ),
        ]
        | None
    ) = None
    """Optimisations that may run at once in a shard: a number, 0 for none, or auto."""


class Wal(Model):
    """The write-ahead log of each shard. Qdrant cannot change it later."""

    wal_capacity_mb: Positive | None = None
    """Size of one log segment, in megabytes."""
    wal_segments_ahead: Count | None = None
    """Log segments that are made in advance."""
    wal_retain_closed: Count | None = None
    """Closed log segments that are kept: they let a peer that was away catch up without a full copy."""


class StrictMultivector(Model):
    """Limit for one multivector."""

    max_vectors: Positive | None = None
    """Most vectors in one multivector."""


class StrictSparse(Model):
    """Limit for one sparse vector."""

    max_length: Positive | None = None
    """Most values in one sparse vector."""


class StrictMode(Model):
    """Limits on what applications may ask of the collection. Qdrant cannot unset a limit, only change it."""

    enabled: bool | None = None
    """Whether the limits hold."""
    max_query_limit: Positive | None = None
    """Largest limit parameter of a query."""
    max_timeout: Positive | None = None
    """Largest timeout parameter, in seconds."""
    unindexed_filtering_retrieve: bool | None = None
    """Whether reads may filter by payload fields without an index."""
    unindexed_filtering_update: bool | None = None
    """Whether updates may filter by payload fields without an index."""
    search_max_hnsw_ef: Count | None = None
    """Largest hnsw_ef parameter of a search."""
    search_allow_exact: bool | None = None
    """Whether exact search is allowed."""
    search_max_oversampling: Annotated[float, Field(ge=0)] | None = None
    """Largest oversampling parameter of a search."""
    upsert_max_batchsize: Count | None = None
    """Most points in one upsert."""
    search_max_batchsize: Count | None = None
    """Most searches in one batch."""
    max_collection_vector_size_bytes: Count | None = None
    """Most bytes of vectors in the collection, without counting replicas."""
    max_collection_payload_size_bytes: Count | None = None
    """Most bytes of payload in the collection, without counting replicas."""
    max_points_count: Positive | None = None
    """Most points in the collection, as estimated by Qdrant."""
    read_rate_limit: Positive | None = None
    """Most reads per minute and replica."""
    write_rate_limit: Positive | None = None
    """Most writes per minute and replica."""
    filter_max_conditions: Count | None = None
    """Most conditions in one filter."""
    condition_max_size: Count | None = None
    """Most values in one condition."""
    multivector_config: Annotated[Mapping[str, StrictMultivector], Field(max_length=64)] | None = None
    """Limits by name of a multivector."""
    sparse_config: Annotated[Mapping[str, StrictSparse], Field(max_length=64)] | None = None
    """Limits by name of a sparse vector."""
    max_payload_index_count: Count | None = None
    """Most payload indexes in the collection."""


class ScalarQuantization(Model):
    """Eight bits per dimension."""

    type: Literal["int8"] = "int8"
    """The kind of number."""
    quantile: Annotated[float, Field(ge=0.5, le=1)] | None = None
    """Fraction of values that the range must cover; outliers are cut. Absent: all."""
    always_ram: bool | None = None
    """True: quantized vectors stay in memory, wherever the originals are."""


class ProductQuantization(Model):
    """Centroids instead of numbers: smallest, slowest, least exact."""

    compression: Literal["x4", "x8", "x16", "x32", "x64"]
    """How much smaller than the original."""
    always_ram: bool | None = None
    """True: quantized vectors stay in memory, wherever the originals are."""


class BinaryQuantization(Model):
    """One to two bits per dimension, for models with many dimensions."""

    encoding: Literal["one_bit", "two_bits", "one_and_half_bits"] | None = None
    """Bits per dimension of stored vectors."""
    query_encoding: Literal["default", "binary", "scalar4bits", "scalar8bits"] | None = None
    """Bits per dimension of the query's vector."""
    always_ram: bool | None = None
    """True: quantized vectors stay in memory, wherever the originals are."""


class Quantization(Model):
    """Smaller copies of the vectors for quick search: exactly one method."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.scalar), has(self.product), has(self.binary)].exists_one(given, given)",
                "quantization: set exactly one of scalar, product and binary; remove quantization altogether "
                "for none",
            ),
        )
    )

    scalar: ScalarQuantization | None = None
    """Eight bits per dimension: the safe choice."""
    product: ProductQuantization | None = None
    """Centroids: up to 64 times smaller."""
    binary: BinaryQuantization | None = None
    """One to two bits per dimension: quickest."""
