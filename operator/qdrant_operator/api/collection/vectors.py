"""The vectors of a collection.

No I/O here. The unnamed vector and named vectors are two fields, because a structural schema has no unions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import Model
from qdrant_operator.api.collection.tuning import Count, Hnsw, Quantization

Datatype = Literal["float32", "float16", "uint8"]
"""Number formats that every supported Qdrant release can store."""


class Multivector(Model):
    """Several vectors per point, compared together (late interaction, as in ColBERT)."""

    comparator: Literal["max_sim"] = "max_sim"
    """How two sets of vectors are compared."""


class Vector(Model):
    """A dense vector."""

    size: Annotated[int, Field(ge=1, le=65536)]
    """Number of dimensions. Qdrant cannot change it later."""
    distance: Literal["Cosine", "Euclid", "Dot", "Manhattan"]
    """How vectors are compared. Qdrant cannot change it later."""
    on_disk: bool | None = None
    """True: vectors are read from disk instead of memory."""
    datatype: Datatype | None = None
    """How numbers are stored; absent: float32. Qdrant cannot change it later."""
    hnsw: Hnsw | None = None
    """Settings of this vector's graph that override spec.hnsw."""
    quantization: Quantization | None = None
    """Quantization of this vector instead of spec.quantization."""
    multivector: Multivector | None = None
    """Several vectors per point. Qdrant cannot change it later."""


class SparseVector(Model):
    """A sparse vector: few non-zero values, each with an index, for keyword search."""

    modifier: Literal["none", "idf"] | None = None
    """idf: values are weighted by the inverse document frequency of their index in the collection."""
    on_disk: bool | None = None
    """True: the index is read from disk instead of memory."""
    full_scan_threshold: Count | None = None
    """Number of vectors below which a full scan is used."""
    datatype: Datatype | None = None
    """How values are stored in the index; absent: float32."""
