"""The vectors of a collection: what a point consists of.

No I/O here. The unnamed vector and named ones are two fields, because a structural schema has no unions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import Model
from qdrant_operator.api.collection.tuning import Count, Hnsw, Quantization

Datatype = Literal["float32", "float16", "uint8"]
"""Numbers that every supported Qdrant release can store."""


class Multivector(Model):
    """Many vectors per point, compared together (late interaction, as in ColBERT)."""

    comparator: Literal["max_sim"] = "max_sim"
    """How two sets of vectors are compared."""


class Vector(Model):
    """A dense vector."""

    size: Annotated[int, Field(ge=1, le=65536)]
    """Dimensions. Qdrant cannot change it later."""
    distance: Literal["Cosine", "Euclid", "Dot", "Manhattan"]
    """How vectors are compared. Qdrant cannot change it later."""
    on_disk: bool | None = None
    """True: vectors are read from disk instead of memory."""
    datatype: Datatype | None = None
    """How numbers are stored; absent: float32. Qdrant cannot change it later."""
    hnsw: Hnsw | None = None
    """Settings of this vector's graph that differ from spec.hnsw."""
    quantization: Quantization | None = None
    """Quantization of this vector instead of spec.quantization."""
    multivector: Multivector | None = None
    """Makes it many vectors per point. Qdrant cannot change it later."""


class SparseVector(Model):
    """A sparse vector: few values, each at an index, for keyword search."""

    modifier: Literal["none", "idf"] | None = None
    """idf: values are weighted by how rare their index is in the collection."""
    on_disk: bool | None = None
    """True: the index is read from disk instead of memory."""
    full_scan_threshold: Count | None = None
    """Below this number of vectors all are compared."""
    datatype: Datatype | None = None
    """How values are stored in the index; absent: float32."""
