"""The bodies of requests that make or change a collection, in Qdrant's words.

Validate before sending: a body that Qdrant cannot read comes back as one sentence that names no field. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.settings import (
    UNNAMED,
    Difference,
    Path,
    lookup,
    normalised,
    settings,
)
from qdrant_operator.domain.common.kinds import Json

OWNER_KEY = "qdrantoperator.dev/owner"
"""Key in a collection's own metadata: which QdrantCollection made it or took it over."""
_PATCH_PLACES: Mapping[str, str] = {"optimizer_config": "optimizers_config"}
"""Where PATCH and PUT call a section otherwise than GET does."""
_REPLACED = ("quantization_config", "multivector_config", "sparse_config")
"""Sections that PATCH replaces as one value."""


def create_body(spec: CollectionSpec) -> dict[str, Any]:
    """Body of PUT /collections/{name}: what the spec declares, and nothing else."""
    tree = expected_config(spec)
    params: dict[str, Any] = tree.pop("params")
    vectors = params.pop("vectors")
    sections = {_PATCH_PLACES.get(key, key): value for key, value in tree.items()}
    unnamed = vectors.get(UNNAMED) if spec.vectors else None
    kept = {key: value for key, value in params.items() if value or key != "sparse_vectors"}
    return {"vectors": unnamed or vectors, **kept, **sections}


def expected_config(spec: CollectionSpec) -> dict[str, Any]:
    """What GET would say of the declared settings right after the collection was created."""
    sparse: dict[str, Any] = {name: {} for name in spec.sparse_vectors or {}}
    tree: dict[str, Any] = {"params": {"vectors": {}, "sparse_vectors": sparse}}
    for setting in settings(spec):
        if not setting.only_by_patch:
            _put(tree, setting.path, setting.value)
    return tree


def update_body(changes: Iterable[Difference], config: Json) -> dict[str, Any]:
    """Body of PATCH /collections/{name} for these differences from `config`.

    Sections that Qdrant replaces as one value are sent whole, with what the user did not declare kept.
    """
    actual = normalised(config)
    tree: dict[str, Any] = {}
    for change in changes:
        replaced = change.path[-1] in _REPLACED
        value = _merged(lookup(actual, change.path), change.wanted) if replaced else change.wanted
        _put(tree, _patch_path(change.path), value)
    return tree


def _patch_path(path: Path) -> Path:
    """`params.vectors` and `params.sparse_vectors` are at the top of a PATCH."""
    if path[:2] in {("params", "vectors"), ("params", "sparse_vectors")}:
        return path[1:]
    return (_PATCH_PLACES.get(path[0], path[0]), *path[1:])


def _merged(actual: Json, wanted: Mapping[str, Json]) -> dict[str, Json]:
    """The declared entries, each over what Qdrant has for the same entry; another method is not kept."""
    reported = actual if isinstance(actual, Mapping) else {}
    methods = {"scalar", "product", "binary"}
    kept = {key: value for key, value in reported.items() if key not in methods or key in wanted}
    known = {key: _without_nulls(value) for key, value in kept.items()}
    return {**known, **{key: {**known.get(key, {}), **value} for key, value in wanted.items()}}


def _without_nulls(value: Mapping[str, Json]) -> dict[str, Json]:
    return {key: inner for key, inner in value.items() if inner is not None}


def _put(tree: dict[str, Any], path: Path, value: Json) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value
