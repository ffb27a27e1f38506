"""Index, optimizers, write-ahead log and limits of a collection: Qdrant's own settings and bounds.

No I/O here. Attribute names are exactly those of Qdrant's REST API, so `words()` is the body of a request.
No field has a default: if it is absent, Qdrant's own default applies. Settings that Qdrant has deprecated and
replaced are omitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import Model, rule, rules

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Hnsw(Model):
    """The HNSW graph for vector search."""

    m: Count | None = None
    """Edges per node. Higher values: better results, more memory. 0: no graph."""
    ef_construct: Annotated[int, Field(ge=4)] | None = None
    """Neighbours considered while the graph is built. Higher values: better results, slower build."""
    full_scan_threshold: Annotated[int, Field(ge=10)] | None = None
    """Size of candidates, in kilobytes, below which a full scan is used instead of the graph."""
    max_indexing_threads: Count | None = None
    """Threads that build one graph; 0: Qdrant chooses."""
    on_disk: bool | None = None
    """True: the graph is read from disk instead of memory."""
    payload_m: Count | None = None
    """Edges per node of the additional graphs for indexed payload fields."""
    inline_storage: bool | None = None
    """True: vectors are copied into the graph's file: fewer random reads, more disk. Requires quantization."""


class Optimizers(Model):
    """When segments are rebuilt."""

    deleted_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Fraction of deleted vectors from which a segment is rebuilt."""
    vacuum_min_vector_number: Annotated[int, Field(ge=100)] | None = None
    """Smaller segments are not rebuilt because of deleted vectors."""
    default_segment_number: Count | None = None
    """Target number of segments per shard; 0: derived from the number of CPUs."""
    max_segment_size: Positive | None = None
    """Maximum size of a segment, in kilobytes."""
    indexing_threshold: Count | None = None
    """Size in kilobytes from which a segment gets a graph; 0: never."""
    flush_interval_sec: Count | None = None
    """Minimum time between two flushes to disk, in seconds."""
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
    """Maximum number of concurrent optimizations in a shard: a number, 0 for none, or auto."""


class Wal(Model):
    """The write-ahead log of each shard. Qdrant cannot change it later."""

    wal_capacity_mb: Positive | None = None
    """Size of one log segment, in megabytes."""
    wal_segments_ahead: Count | None = None
    """Log segments that are created in advance."""
    wal_retain_closed: Count | None = None
    """Closed log segments that are kept. With them, a peer that was down can catch up without a full copy."""


class StrictMultivector(Model):
    """Limit for one multivector."""

    max_vectors: Positive | None = None
    """Maximum number of vectors in one multivector."""


class StrictSparse(Model):
    """Limit for one sparse vector."""

    max_length: Positive | None = None
    """Maximum number of values in one sparse vector."""


class StrictMode(Model):
    """Limits for requests of applications to the collection. Qdrant can change a limit, but not unset it."""

    enabled: bool | None = None
    """Whether the limits are enforced."""
    max_query_limit: Positive | None = None
    """Maximum limit parameter of a query."""
    max_timeout: Positive | None = None
    """Maximum timeout parameter, in seconds."""
    unindexed_filtering_retrieve: bool | None = None
    """Whether reads may filter by payload fields without an index."""
    unindexed_filtering_update: bool | None = None
    """Whether updates may filter by payload fields without an index."""
    search_max_hnsw_ef: Count | None = None
    """Maximum hnsw_ef parameter of a search."""
    search_allow_exact: bool | None = None
    """Whether exact search is allowed."""
    search_max_oversampling: Annotated[float, Field(ge=0)] | None = None
    """Maximum oversampling parameter of a search."""
    upsert_max_batchsize: Count | None = None
    """Maximum number of points in one upsert."""
    search_max_batchsize: Count | None = None
    """Maximum number of searches in one batch."""
    max_collection_vector_size_bytes: Count | None = None
    """Maximum size of vectors in the collection, in bytes; replicas are not counted."""
    max_collection_payload_size_bytes: Count | None = None
    """Maximum size of payload in the collection, in bytes; replicas are not counted."""
    max_points_count: Positive | None = None
    """Maximum number of points in the collection, as estimated by Qdrant."""
    read_rate_limit: Positive | None = None
    """Maximum number of reads per minute and replica."""
    write_rate_limit: Positive | None = None
    """Maximum number of writes per minute and replica."""
    filter_max_conditions: Count | None = None
    """Maximum number of conditions in one filter."""
    condition_max_size: Count | None = None
    """Maximum number of values in one condition."""
    multivector_config: Annotated[Mapping[str, StrictMultivector], Field(max_length=64)] | None = None
    """Limits by name of a multivector."""
    sparse_config: Annotated[Mapping[str, StrictSparse], Field(max_length=64)] | None = None
    """Limits by name of a sparse vector."""
    max_payload_index_count: Count | None = None
    """Maximum number of payload indexes in the collection."""


class ScalarQuantization(Model):
    """Eight bits per dimension."""

    type: Literal["int8"] = "int8"
    """Type of the stored numbers."""
    quantile: Annotated[float, Field(ge=0.5, le=1)] | None = None
    """Fraction of values that the range must cover; outliers are clipped. Absent: all."""
    always_ram: bool | None = None
    """True: quantized vectors are kept in memory, also if the original vectors are on disk."""


class ProductQuantization(Model):
    """Centroids instead of numbers: smallest size, slowest search, lowest accuracy."""

    compression: Literal["x4", "x8", "x16", "x32", "x64"]
    """Compression ratio."""
    always_ram: bool | None = None
    """True: quantized vectors are kept in memory, also if the original vectors are on disk."""


class BinaryQuantization(Model):
    """One to two bits per dimension, for models with many dimensions."""

    encoding: Literal["one_bit", "two_bits", "one_and_half_bits"] | None = None
    """Bits per dimension of stored vectors."""
    query_encoding: Literal["default", "binary", "scalar4bits", "scalar8bits"] | None = None
    """Bits per dimension of the query's vector."""
    always_ram: bool | None = None
    """True: quantized vectors are kept in memory, also if the original vectors are on disk."""


class Quantization(Model):
    """Compressed copies of the vectors for fast search: exactly one method."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.scalar), has(self.product), has(self.binary)].exists_one(given, given)",
                "quantization: set exactly one of scalar, product and binary; for none, remove quantization",
            ),
        )
    )

    scalar: ScalarQuantization | None = None
    """Eight bits per dimension: highest accuracy."""
    product: ProductQuantization | None = None
    """Centroids: up to 64 times smaller."""
    binary: BinaryQuantization | None = None
    """One to two bits per dimension: fastest search."""
