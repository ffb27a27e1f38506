"""The settings a QdrantCollection declares, each with its place in the spec and its place in Qdrant's config.

Only what the user wrote is compared: a setting that is absent in the spec is Qdrant's own business. Qdrant fills
defaults and drops what it takes for granted when it reports its config, so each setting knows what silence means.
Pure: no I/O, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic.alias_generators import to_camel

from qdrant_operator.api import CollectionSpec, Model, SparseVector, Vector
from qdrant_operator.domain.common.kinds import Json

Path = tuple[str, ...]


class Change(Enum):
    """What it takes to change a setting of a collection that exists."""

    PATCH = "Qdrant changes it in place"
    FACTOR = "Qdrant notes it, and replicas must be made or dropped"
    REBUILD = "only a new collection has it"
    ADD_VECTOR = "Qdrant 1.18 and later adds it through its API, which this operator does not call yet"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that the user wrote."""

    field: str
    """Path in spec, as the user wrote it: hnsw.efConstruct."""
    path: Path
    """Path in Qdrant's config: ("hnsw_config", "ef_construct")."""
    value: Json
    change: Change = Change.PATCH
    silence: Json = None
    """What Qdrant means when its config does not mention the setting."""
    only_by_patch: bool = False
    """Qdrant takes it in PATCH and not in the body that creates the collection."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that Qdrant has otherwise than the spec says."""

    field: str
    path: Path
    wanted: Json
    actual: Json
    change: Change


def described(difference: Difference) -> str:
    """A difference as users read it."""
    return f"{difference.field} is {shown(difference.actual)}, wanted {shown(difference.wanted)}"


def shown(value: Json) -> str:
    """A setting's value as users read it."""
    if isinstance(value, Mapping):
        entries = [f"{key}: {shown(inner)}" for key, inner in value.items() if inner is not None]
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)


IN_PLACE = frozenset({Change.PATCH, Change.FACTOR})
UNNAMED = ""
"""Qdrant's own name for the vector of a collection that has just one."""
SILENCE: Mapping[str, Json] = {
    "on_disk": False,
    "always_ram": False,
    "inline_storage": False,
    "enabled": False,
    "datatype": "float32",
    "modifier": "none",
    "sharding_method": "auto",
    "encoding": "one_bit",
    "query_encoding": "default",
    "max_optimization_threads": "auto",
    "read_fan_out_factor": 0,
}
"""Defaults that Qdrant 1.19 leaves out of its config; "auto" is read back as null."""


def settings(spec: CollectionSpec) -> tuple[Setting, ...]:
    """Every setting of the collection itself that the spec declares, in a fixed order."""
    return (
        *_dense(spec),
        *_sparse(spec),
        *_params(spec),
        *_section("hnsw", ("hnsw_config",), spec.hnsw),
        *_section("optimizers", ("optimizer_config",), spec.optimizers),
        *_section("wal", ("wal_config",), spec.wal, Change.REBUILD),
        *_whole("quantization", ("quantization_config",), spec.quantization),
        *_section("strictMode", ("strict_mode_config",), spec.strict_mode),
    )


def _dense(spec: CollectionSpec) -> Iterator[Setting]:
    if spec.vectors:
        yield from _vector("vectors", UNNAMED, spec.vectors)
    for name, vector in sorted((spec.named_vectors or {}).items()):
        yield from _vector(f"namedVectors.{name}", name, vector)


def _vector(field: str, name: str, vector: Vector) -> Iterator[Setting]:
    at = ("params", "vectors", name)
    for key in ("size", "distance", "datatype"):
        yield from _one(f"{field}.{key}", (*at, key), getattr(vector, key), Change.REBUILD)
    yield from _whole(f"{field}.multivector", (*at, "multivector_config"), vector.multivector, Change.REBUILD)
    yield from _one(f"{field}.onDisk", (*at, "on_disk"), vector.on_disk)
    yield from _section(f"{field}.hnsw", (*at, "hnsw_config"), vector.hnsw, inherits=True)
    yield from _whole(f"{field}.quantization", (*at, "quantization_config"), vector.quantization)


def _sparse(spec: CollectionSpec) -> Iterator[Setting]:
    for name, vector in sorted((spec.sparse_vectors or {}).items()):
        yield from _sparse_vector(f"sparseVectors.{name}", ("params", "sparse_vectors", name), vector)


def _sparse_vector(field: str, at: Path, vector: SparseVector) -> Iterator[Setting]:
    yield from _one(f"{field}.modifier", (*at, "modifier"), vector.modifier)
    for key in ("on_disk", "full_scan_threshold", "datatype"):
        yield from _one(f"{field}.{to_camel(key)}", (*at, "index", key), getattr(vector, key))


def _params(spec: CollectionSpec) -> Iterator[Setting]:
    yield from _one("shardNumber", ("params", "shard_number"), spec.shard_number, Change.REBUILD)
    if spec.sharding:
        method = spec.sharding.method.lower()
        yield from _one("sharding.method", ("params", "sharding_method"), method, Change.REBUILD)
    yield from _one(
        "replicationFactor", ("params", "replication_factor"), spec.replication_factor, Change.FACTOR
    )
    for key in ("write_consistency_factor", "on_disk_payload"):
        yield from _one(to_camel(key), ("params", key), getattr(spec, key))
    if spec.read_fan_out_factor is not None:
        yield Setting(
            "readFanOutFactor",
            ("params", "read_fan_out_factor"),
            spec.read_fan_out_factor,
            silence=0,
            only_by_patch=True,
        )


def _one(field: str, path: Path, value: Json, change: Change = Change.PATCH) -> Iterator[Setting]:
    if value is not None:
        yield Setting(field, path, value, change, SILENCE.get(path[-1]))


def _section(
    field: str, path: Path, section: Model | None, change: Change = Change.PATCH, *, inherits: bool = False
) -> Iterator[Setting]:
    """Each declared key by itself; a vector's own section inherits what it does not mention."""
    for key, value in (section.words() if section else {}).items():
        silence = None if inherits else SILENCE.get(key)
        yield Setting(f"{field}.{to_camel(key)}", (*path, key), value, change, silence)


def _whole(field: str, path: Path, section: Model | None, change: Change = Change.PATCH) -> Iterator[Setting]:
    """A section that Qdrant replaces as one value, never merges."""
    if section is not None:
        yield Setting(field, path, section.words(), change)


def normalised(config: Json) -> dict[str, Any]:
    """Qdrant's config with its vectors always by name: the only one is called `UNNAMED`."""
    params = dict(config.get("params") or {})
    vectors = params.get("vectors") or {}
    single = isinstance(vectors.get("size"), int)
    params["vectors"] = {UNNAMED: vectors} if single else vectors
    params["sparse_vectors"] = params.get("sparse_vectors") or {}
    return {**config, "params": params}


def lookup(tree: Json, path: Path) -> Json:
    """The value at a path; None where the path ends early."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def differences(spec: CollectionSpec, config: Json) -> tuple[Difference, ...]:
    """What Qdrant has otherwise than declared; `config` is `result.config` of GET /collections/{name}."""
    actual = normalised(config)
    return (*_vector_sets(spec, actual), *_settings_that_differ(spec, actual))


def _settings_that_differ(spec: CollectionSpec, config: Json) -> Iterator[Difference]:
    for setting in settings(spec):
        if _vector_of(setting.path, config) is None:
            continue
        actual = lookup(config, setting.path)
        if not same(setting.value, setting.silence if actual is None else actual):
            yield Difference(setting.field, setting.path, setting.value, actual, setting.change)


def _vector_of(path: Path, config: Json) -> Json:
    """The vector a setting belongs to (None: it does not exist), or something when it belongs to none."""
    is_vectors = path[:2] in {("params", "vectors"), ("params", "sparse_vectors")}
    return lookup(config, path[:3]) if is_vectors else config


def _vector_sets(spec: CollectionSpec, config: Json) -> Iterator[Difference]:
    dense = {UNNAMED: spec.vectors} if spec.vectors else dict(spec.named_vectors or {})
    yield from _set("namedVectors", ("params", "vectors"), dense, config)
    yield from _set("sparseVectors", ("params", "sparse_vectors"), spec.sparse_vectors or {}, config)


def _set(field: str, path: Path, wanted: Mapping[str, Model], config: Json) -> Iterator[Difference]:
    """Vectors that are missing; one that an application added is its own business."""
    actual: Mapping[str, Json] = lookup(config, path)
    for name in sorted(wanted.keys() - actual.keys()):
        where = f"{field}.{name}" if name != UNNAMED else "vectors"
        # A collection has either one vector without a name or vectors with names: that cannot be changed.
        change = Change.REBUILD if UNNAMED in (name, *actual) else Change.ADD_VECTOR
        yield Difference(where, (*path, name), wanted[name].words(), None, change)


def same(wanted: Json, actual: Json) -> bool:
    """Whether Qdrant's value says what was declared; of a map only the declared keys count.

    Fractions are compared as Qdrant keeps some of them: with 32 bits.
    """
    if isinstance(wanted, Mapping):
        reported = actual if isinstance(actual, Mapping) else None
        return reported is not None and all(_same_key(key, value, reported) for key, value in wanted.items())
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return wanted is actual
    if isinstance(wanted, float) and isinstance(actual, (int, float)):
        return math.isclose(wanted, actual, rel_tol=1e-6, abs_tol=1e-9)
    return bool(wanted == actual)


def _same_key(key: str, wanted: Json, reported: Mapping[str, Json]) -> bool:
    actual = reported.get(key)
    return same(wanted, SILENCE.get(key) if actual is None else actual)
