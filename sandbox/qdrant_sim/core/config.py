"""A collection's configuration: what a create or patch call may say, the defaults, and how a patch is merged."""

from __future__ import annotations

import copy
import re
from typing import Any

from sandbox.qdrant_sim.core.api.answers import Fault, Json, invalid, malformed

DISTANCES = ("Cosine", "Euclid", "Dot", "Manhattan")
HNSW = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
MAX_DIMENSIONS = 65536
PARAMS = ("vectors", "sparse_vectors", "sharding_method")
MINIMA = {
    "hnsw_config": {"ef_construct": 4, "full_scan_threshold": 10},
    "optimizers_config": {"vacuum_min_vector_number": 100},
}

MUTABLE_PARAMS = frozenset(
    {
        "replication_factor",
        "write_consistency_factor",
        "read_fan_out_factor",
        "read_fan_out_delay_ms",
        "on_disk_payload",
    }
)
"""Parameters that a patch changes; others are ignored without a word."""


def new_config(body: Json, raw: bytes, peers: int) -> dict[str, Json]:
    """The whole configuration that a create call asks for; `peers` is the default number of shards.

    Raises:
        Fault: 400 for what serde refuses, 422 for bounds.
    """
    _check(body, raw)
    custom = body.get("sharding_method") == "custom"
    params = {name: copy.deepcopy(body[name]) for name in PARAMS if body.get(name) is not None} | {
        "shard_number": body.get("shard_number") or (1 if custom else peers),
        "replication_factor": body.get("replication_factor") or 1,
        "write_consistency_factor": body.get("write_consistency_factor") or 1,
        "on_disk_payload": body.get("on_disk_payload", True),
    }
    config: dict[str, Json] = {
        "params": params,
        "hnsw_config": HNSW | (body.get("hnsw_config") or {}),
        "optimizer_config": OPTIMIZERS | (body.get("optimizers_config") or {}),
        "wal_config": WAL | (body.get("wal_config") or {}),
        "quantization_config": body.get("quantization_config"),
    }
    for name in ("strict_mode_config", "metadata"):
        if body.get(name) is not None:
            config[name] = dict(body[name])
    return config


def check_patch(body: Json, raw: bytes) -> None:
    """Raise a Fault for a patch that Qdrant refuses."""
    _check_sections(body, raw)
    params = body.get("params") or {}
    if 0 in (params.get("replication_factor"), params.get("write_consistency_factor")):
        raise malformed("invalid value: integer `0`, expected a nonzero u32", len(raw))


def merged(config: dict[str, Json], changes: Json) -> dict[str, Json]:
    """The configuration after a patch; the old one stays as it is."""
    changed = copy.deepcopy(config)
    _merge(changed, changes)
    return changed


def _merge(config: dict[str, Json], changes: Json) -> None:
    _merge_vectors(config["params"], changes.get("vectors") or {})
    _merge_sparse(config["params"], changes.get("sparse_vectors") or {})
    params = changes.get("params") or {}
    config["params"].update({k: v for k, v in params.items() if v is not None and k in MUTABLE_PARAMS})
    for name, target in (("hnsw_config", "hnsw_config"), ("optimizers_config", "optimizer_config")):
        config[target] = config[target] | {
            k: v for k, v in (changes.get(name) or {}).items() if v is not None
        }
    if (quantization := changes.get("quantization_config")) is not None:
        config["quantization_config"] = None if quantization == "Disabled" else quantization
    if changes.get("strict_mode_config"):
        config["strict_mode_config"] = (config.get("strict_mode_config") or {}) | changes[
            "strict_mode_config"
        ]
    if changes.get("metadata"):
        together = (config.get("metadata") or {}) | changes["metadata"]
        config["metadata"] = {key: value for key, value in together.items() if value is not None}


def vector_params(config: dict[str, Json]) -> dict[str, Json]:
    """Dense vectors by name; the unnamed one is ""."""
    vectors: dict[str, Any] = config["params"].get("vectors") or {}
    return {"": vectors} if "size" in vectors else vectors


def _merge_vectors(params: dict[str, Json], changes: Json) -> None:
    for name, change in changes.items():
        target = params["vectors"] if name == "" else params["vectors"].get(name)
        if target is not None:
            _merge_vector(target, {key: value for key, value in change.items() if value is not None})


def _merge_vector(target: dict[str, Json], change: dict[str, Json]) -> None:
    """A vector's graph settings are merged, its quantization is replaced as one value."""
    if "hnsw_config" in change:
        change["hnsw_config"] = (target.get("hnsw_config") or {}) | change["hnsw_config"]
    target.update(change)
    if target.get("quantization_config") == "Disabled":
        del target["quantization_config"]


def _merge_sparse(params: dict[str, Json], changes: Json) -> None:
    for name, change in changes.items():
        target = params["sparse_vectors"][name]
        if change.get("modifier"):
            target["modifier"] = change["modifier"]
        if change.get("index"):
            target["index"] = (target.get("index") or {}) | change["index"]


def _check(body: Json, raw: bytes) -> None:
    if not isinstance(body, dict):
        raise malformed("invalid type: expected struct CreateCollection", len(raw))
    vectors = body.get("vectors")
    if vectors is not None and not _vectors_ok(vectors):
        raise malformed("data did not match any variant of untagged enum VectorsConfig", len(raw))
    for one in vector_params({"params": body}).values():
        _check_size(one["size"])
    _check_sections(body, raw)
    for name in ("shard_number", "replication_factor", "write_consistency_factor"):
        value = body.get(name)
        if isinstance(value, int) and value < 1:
            raise _too_small(name, value, 1)


def _check_size(size: int) -> None:
    if size > MAX_DIMENSIONS:
        message = f"vectors.size: value {size} invalid, must be from 1 to {MAX_DIMENSIONS}"
        raise invalid("JSON body", message)


def _vectors_ok(vectors: Json) -> bool:
    if not isinstance(vectors, dict):
        return False
    return all(_vector_ok(one) for one in ([vectors] if "size" in vectors else vectors.values()))


def _vector_ok(one: Json) -> bool:
    size = one.get("size") if isinstance(one, dict) else None
    return isinstance(size, int) and size > 0 and one.get("distance") in DISTANCES


def _check_sections(body: Json, raw: bytes) -> None:
    for section, minima in MINIMA.items():
        for name, value in (body.get(section) or {}).items():
            if isinstance(value, int) and not isinstance(value, bool):
                _check_number(f"{section}.{name}", value, minima.get(name, 0), raw)


def _check_number(where: str, value: int, minimum: int, raw: bytes) -> None:
    if value < 0:
        found = re.search(rb"-\s*\d+", raw)
        raise malformed(
            f"invalid value: integer `{value}`, expected usize", found.end() if found else len(raw)
        )
    if value < minimum:
        raise _too_small(where, value, minimum)


def _too_small(where: str, value: int, minimum: int) -> Fault:
    return invalid("JSON body", f"{where}: value {value} invalid, must be {minimum} or larger")
