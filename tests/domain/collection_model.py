"""A model of Qdrant small enough to reason about: what each step of a collection's plan leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.observed import Absent, Desired, KeySeen, Live, Observed, PodSeen
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionStep,
    CreateCollection,
    CreatePayloadIndex,
    CreateShardKey,
    DeleteCollection,
    DropPayloadIndex,
    MoveAliases,
    RemoveFinalizer,
    RemoveShardKey,
    ReplacePayloadIndex,
    TakeOver,
    UpdateCollection,
)
from qdrant_operator.domain.qdrant.views import PeerId
from sandbox.qdrant_sim.core.config import merged, new_config

OWNER = "default/docs/uid-1"
DOCS: dict[str, Any] = {"clusterRef": {"name": "vectors"}, "vectors": {"size": 4, "distance": "Dot"}}
World = tuple[Desired, Observed]


def desired(spec: dict[str, Any] | None = None, **changes: Any) -> Desired:
    """A QdrantCollection named docs; `spec` is laid over a small valid one."""
    parsed = CollectionSpec.model_validate({**DOCS, **(spec or {})})
    return replace(Desired("docs", OWNER, parsed, wanted_peers=3), **changes)


def live(body: dict[str, Any] | None = None, *, owner: str | None = OWNER, **changes: Any) -> Live:
    """A collection that was created with this body."""
    mark = {"metadata": {OWNER_KEY: owner}} if owner else {}
    config = new_config({"vectors": {"size": 4, "distance": "Dot"}, **(body or {}), **mark}, b"", peers=3)
    return replace(Live(config), **changes)


def observed(collection: Any = None, **changes: Any) -> Observed:
    """Three peers that answer; `collection` defaults to none."""
    there = frozenset({"docs"} if isinstance(collection, Live) else ())
    pods = tuple(
        PodSeen(f"vectors-{number}", number, PeerId(number + 1), "ab"[number % 2]) for number in range(3)
    )
    seen = Observed(collection or Absent(), collections=there, members=3, answering=3, pods=pods)
    return replace(seen, **changes)


def after(world: World, step: CollectionStep) -> World:
    """The world when a step has been carried out and everybody knows."""
    wanted, seen = world
    match step:
        case AddFinalizer() | RemoveFinalizer():
            return replace(wanted, has_finalizer=isinstance(step, AddFinalizer)), seen
        case CreateCollection(name, body):
            made = Live(new_config(body, b"", peers=3))
            return wanted, replace(seen, collection=made, collections=seen.collections | {name})
        case DeleteCollection(name):
            left = replace(seen, collection=Absent(), collections=seen.collections - {name}, keys={})
            return wanted, left
        case CreateShardKey() | RemoveShardKey():
            return _with_keys(world, step)
        case MoveAliases(name, put, remove):
            kept = {alias: target for alias, target in seen.aliases.items() if alias not in remove}
            moved = replace(seen, aliases={**kept, **dict.fromkeys(put, name)})
            return replace(wanted, granted=wanted.granted | set(put)), moved
        case _:
            assert isinstance(seen.collection, Live)
            return wanted, replace(seen, collection=_changed(seen.collection, step))


def _with_keys(world: World, step: CreateShardKey | RemoveShardKey) -> World:
    wanted, seen = world
    if isinstance(step, RemoveShardKey):
        return wanted, replace(seen, keys={k: one for k, one in seen.keys.items() if k != step.key})
    key, holders = step.body["shard_key"], frozenset(step.body.get("placement") or map(PeerId, (1, 2, 3)))
    made = {**seen.keys, key: KeySeen(step.body["shards_number"], 0, holders)}
    return replace(wanted, granted_keys=wanted.granted_keys | {key}), replace(seen, keys=made)


def _changed(collection: Live, step: CollectionStep) -> Live:
    indexes = dict(collection.indexes)
    match step:
        case TakeOver(_, owner):
            return replace(collection, config=_patched(collection, {"metadata": {OWNER_KEY: owner}}))
        case UpdateCollection(_, body):
            return replace(collection, config=_patched(collection, body))
        case CreatePayloadIndex(_, field, schema) | ReplacePayloadIndex(_, field, schema):
            indexes[field] = {"data_type": schema["type"], "params": schema, "points": 0}
        case DropPayloadIndex(_, field):
            del indexes[field]
    return replace(collection, indexes=indexes)


def _patched(collection: Live, body: dict[str, Any]) -> dict[str, Any]:
    """The simulated Qdrant's own rules for a PATCH."""
    return merged(collection.config, body)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


HNSW = _some(m=st.sampled_from([0, 16, 32]), onDisk=st.booleans(), payloadM=st.just(8))
QUANTIZATION = st.one_of(
    st.fixed_dictionaries({"scalar": _some(quantile=st.sampled_from([0.9, 0.99]), alwaysRam=st.booleans())}),
    st.just({"binary": {}}),
    st.just({"product": {"compression": "x8"}}),
)
VECTOR = st.fixed_dictionaries(
    {"size": st.sampled_from([4, 8]), "distance": st.sampled_from(["Dot", "Cosine"])},
    optional={
        "hnsw": HNSW,
        "onDisk": st.booleans(),
        "quantization": QUANTIZATION,
        "datatype": st.sampled_from(["float32", "uint8"]),
    },
)
SHAPES = st.one_of(
    st.fixed_dictionaries({"vectors": VECTOR}),
    st.fixed_dictionaries({"namedVectors": st.dictionaries(st.sampled_from("ab"), VECTOR, min_size=1)}),
)
INDEXES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"field": st.sampled_from("fg"), "type": st.just("keyword")}, optional={"isTenant": st.booleans()}
        ),
        st.fixed_dictionaries(
            {"field": st.sampled_from("gh"), "type": st.just("integer")}, optional={"onDisk": st.booleans()}
        ),
    ),
    unique_by=lambda index: str(index["field"]),
    max_size=3,
)
KEYS = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from(["eu", "7", 7])},
        optional={
            "shards": st.sampled_from([1, 2]),
            "replicationFactor": st.sampled_from([1, 2, 3]),
            "peers": st.sampled_from([{"zone": "a"}, {"zone": "c"}, {"pods": ["vectors-0", "vectors-1"]}]),
        },
    ),
    unique_by=lambda one: repr(one["key"]),
    max_size=3,
)
REMOVAL = st.sampled_from(["Refuse", "Delete"])
SHARDING = st.one_of(
    st.just({"method": "Auto"}),
    st.fixed_dictionaries({"method": st.just("Custom"), "keys": KEYS, "onKeyRemoval": REMOVAL}),
)
SETTINGS = _some(
    sharding=SHARDING,
    shardNumber=st.sampled_from([1, 6]),
    replicationFactor=st.sampled_from([1, 2, 4]),
    writeConsistencyFactor=st.just(1),
    readFanOutFactor=st.sampled_from([0, 2]),
    onDiskPayload=st.booleans(),
    hnsw=HNSW,
    optimizers=_some(
        deletedThreshold=st.sampled_from([0.2, 0.5]), maxOptimizationThreads=st.sampled_from(["auto", 2])
    ),
    quantization=QUANTIZATION,
    strictMode=_some(enabled=st.booleans(), maxQueryLimit=st.sampled_from([10, 20])),
    payloadIndexes=INDEXES,
    prunePayloadIndexes=st.booleans(),
    aliases=st.lists(st.sampled_from(["live", "next", "docs", "other"]), unique=True, max_size=3),
    deletionPolicy=st.sampled_from(["Retain", "Delete"]),
    adoption=st.sampled_from(["IfMatching", "Never"]),
)


@st.composite
def specs(draw: st.DrawFn) -> CollectionSpec:
    """Specs that the API server lets through."""
    body = {"clusterRef": {"name": "vectors"}, **draw(SHAPES), **draw(SETTINGS)}
    return CollectionSpec.model_validate(body)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A collection as some earlier spec made it (or none), and what is wanted of it now."""
    wanted = Desired(
        "docs",
        OWNER,
        draw(specs()),
        granted=draw(st.frozensets(st.sampled_from(["live", "next"]))),
        granted_keys=draw(st.frozensets(st.sampled_from(["eu", "7", 7]))),
        wanted_peers=3,
        has_finalizer=draw(st.booleans()),
        deleting=draw(st.booleans()),
    )
    before = replace(wanted, spec=draw(specs()), deleting=False)
    seen = observed(
        aliases=draw(
            st.dictionaries(st.sampled_from(["live", "next"]), st.sampled_from(["docs", "other"]), max_size=2)
        ),
        collections=frozenset({"other"}),
    )
    if draw(st.booleans()):
        for step in plan(before, seen).steps:
            _, seen = after((before, seen), step)
        points = st.sampled_from([0, 0, 3, None])
        seen = replace(seen, keys={key: replace(one, points=draw(points)) for key, one in seen.keys.items()})
    if draw(st.booleans()):
        wanted = replace(wanted, owner="default/docs/uid-2")
    return wanted, seen
