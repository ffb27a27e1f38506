"""What Qdrant says of a collection after it was made must mean what was declared, or the loop would never rest.

Runs against the simulated peer, and against a real Qdrant where `QDRANT_BIN` names one.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.api import CollectionSpec, Model
from qdrant_operator.domain.collection.observed import Desired, Live, Observed, PodSeen
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.collection.steps import CollectionPlan, CollectionStep
from qdrant_operator.domain.common.errors import Retryable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.reconcile.collection.act import ask
from qdrant_operator.reconcile.collection.observe import observe_collection, observed_shards
from sandbox.qdrant_sim.host import PeerHost

PATIENCE = 20.0
"""Seconds within which a peer must answer, and an index on an empty collection be there; seen: under 1."""
LOOK_EVERY = 0.02
HNSW = {
    "m": 20,
    "efConstruct": 64,
    "fullScanThreshold": 20,
    "maxIndexingThreads": 2,
    "onDisk": True,
    "payloadM": 3,
    "inlineStorage": False,
}
SCALAR = {"scalar": {"type": "int8", "quantile": 0.99, "alwaysRam": True}}
BINARY = {"binary": {"encoding": "two_bits", "queryEncoding": "scalar8bits", "alwaysRam": False}}
PRODUCT = {"product": {"compression": "x8", "alwaysRam": True}}
TEXT = {
    "field": "body",
    "type": "text",
    "tokenizer": "prefix",
    "minTokenLen": 2,
    "maxTokenLen": 10,
    "lowercase": False,
    "phraseMatching": True,
    "onDisk": True,
}
VECTOR = {
    "size": 8,
    "distance": "Cosine",
    "onDisk": True,
    "datatype": "float16",
    "hnsw": HNSW,
    "quantization": SCALAR,
    "multivector": {"comparator": "max_sim"},
}
FULL: dict[str, Any] = {
    "clusterRef": {"name": "vectors"},
    "name": "full",
    "namedVectors": {"text": VECTOR, "image": {"size": 4, "distance": "Dot", "quantization": BINARY}},
    "sparseVectors": {
        "bm25": {"modifier": "idf", "onDisk": True, "fullScanThreshold": 50, "datatype": "float16"},
        "plain": {},
    },
    "shardNumber": 2,
    "replicationFactor": 1,
    "writeConsistencyFactor": 1,
    "readFanOutFactor": 1,
    "sharding": {"method": "Auto", "keys": [], "onKeyRemoval": "Refuse"},
    "onDiskPayload": False,
    "hnsw": HNSW,
    "optimizers": {
        "deletedThreshold": 0.3,
        "vacuumMinVectorNumber": 200,
        "defaultSegmentNumber": 2,
        "maxSegmentSize": 5000,
        "indexingThreshold": 0,
        "flushIntervalSec": 7,
        "maxOptimizationThreads": "auto",
    },
    "wal": {"walCapacityMb": 16, "walSegmentsAhead": 1, "walRetainClosed": 2},
    "quantization": PRODUCT,
    "strictMode": {
        "enabled": True,
        "maxQueryLimit": 100,
        "maxTimeout": 10,
        "unindexedFilteringRetrieve": True,
        "unindexedFilteringUpdate": False,
        "searchMaxHnswEf": 128,
        "searchAllowExact": False,
        "searchMaxOversampling": 1.3,
        "upsertMaxBatchsize": 10,
        "searchMaxBatchsize": 11,
        "maxCollectionVectorSizeBytes": 1000000,
        "maxCollectionPayloadSizeBytes": 1000000,
        "maxPointsCount": 1000,
        "readRateLimit": 100,
        "writeRateLimit": 100,
        "filterMaxConditions": 5,
        "conditionMaxSize": 6,
        "multivectorConfig": {"text": {"maxVectors": 7}},
        "sparseConfig": {"bm25": {"maxLength": 9}},
        "maxPayloadIndexCount": 20,
    },
    "payloadIndexes": [
        TEXT,
        {"field": "tenant", "type": "keyword", "isTenant": True, "onDisk": True},
        {"field": "n", "type": "integer", "lookup": True, "range": False, "onDisk": False},
        {"field": "rank", "type": "integer", "isPrincipal": True},
        {"field": "price", "type": "float", "isPrincipal": False},
        {"field": "seen", "type": "bool"},
        {"field": "at", "type": "datetime", "isPrincipal": True},
        {"field": "id", "type": "uuid", "isTenant": False},
        {"field": "where", "type": "geo", "onDisk": True},
        {"field": 'author."first name".tags[]', "type": "keyword"},
        {"field": '"needless"', "type": "keyword"},
    ],
    "prunePayloadIndexes": True,
    "aliases": ["live", "next"],
    "deletionPolicy": "Retain",
    "adoption": "Never",
}
"""Every setting of a QdrantCollection, apart from the single vector."""
MINIMAL: dict[str, Any] = {
    "clusterRef": {"name": "vectors"},
    "name": "plain",
    "vectors": {"size": 4, "distance": "Dot"},
}
KEYED: dict[str, Any] = {
    "clusterRef": {"name": "vectors"},
    "name": "keyed",
    "vectors": {"size": 4, "distance": "Dot"},
    "shardNumber": 3,
    "sharding": {"method": "Custom", "keys": [{"key": "eu", "shards": 2}, {"key": 7}]},
    "payloadIndexes": [{"field": "tenant", "type": "keyword"}],
}
SPARSE_ONLY: dict[str, Any] = {
    "clusterRef": {"name": "vectors"},
    "name": "sparse",
    "sparseVectors": {"a": {}},
}
CHANGED: dict[str, Any] = {
    **FULL,
    "readFanOutFactor": 0,
    "onDiskPayload": True,
    "hnsw": {"m": 21, "onDisk": False},
    "optimizers": {"deletedThreshold": 0.7, "maxOptimizationThreads": 3},
    "quantization": SCALAR,
    "strictMode": {"enabled": False, "sparseConfig": {"bm25": {"maxLength": 10}}},
    "namedVectors": {
        "text": {**VECTOR, "onDisk": False, "hnsw": {"m": 5}, "quantization": BINARY},
        "image": {"size": 4, "distance": "Dot", "hnsw": {"payloadM": 2}, "onDisk": True},
    },
    "sparseVectors": {"bm25": {"modifier": "none", "onDisk": False}, "plain": {"fullScanThreshold": 9}},
    "payloadIndexes": [{**TEXT, "lowercase": True}, {"field": "tenant", "type": "integer"}],
    "aliases": ["next"],
}
"""Every setting that can be changed is another, but for the factors: one peer carries one replica."""


@pytest.fixture(params=["simulated", "real"])
async def peer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Endpoint]:
    """One peer, a cluster of its own."""
    binary = os.environ.get("QDRANT_BIN")
    if request.param == "real" and not binary:
        pytest.skip("QDRANT_BIN names no Qdrant")
    address = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.7"
    port = _free_port(address)
    env = {
        "QDRANT__SERVICE__HOST": address,
        "QDRANT__SERVICE__HTTP_PORT": str(port),
        "QDRANT__SERVICE__GRPC_PORT": str(port + 1),
        "QDRANT__CLUSTER__ENABLED": "true",
        "QDRANT__CLUSTER__P2P__PORT": str(port + 2),
        "QDRANT__TELEMETRY_DISABLED": "true",
    }
    start = _real(str(binary), address, port, env, tmp_path) if request.param == "real" else None
    async with start or _simulated(address, port, env, tmp_path):
        yield Endpoint(f"http://{address}:{port}", "pod-uid")


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _real(
    binary: str, address: str, port: int, env: dict[str, str], folder: Path
) -> AsyncIterator[None]:
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            binary,
            "--uri",
            f"http://{address}:{port + 2}",
            cwd=folder,
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _simulated(address: str, port: int, env: dict[str, str], folder: Path) -> AsyncIterator[None]:
    host = PeerHost(seed=1)
    try:
        await host.start_peer(address, folder, ["--uri", f"http://{address}:{port + 2}"], env)
        yield
    finally:
        await host.close()


@pytest.fixture
async def qdrant(peer: Endpoint) -> AsyncIterator[QdrantRest]:
    """The real adapter, once the peer answers."""
    adapter = QdrantRest(lambda *_: None)
    try:
        for _ in range(int(PATIENCE / LOOK_EVERY)):
            if await _answers(adapter, peer):
                break
            await asyncio.sleep(LOOK_EVERY)
        yield adapter
    finally:
        await adapter.close()


async def _answers(qdrant: QdrantRest, peer: Endpoint) -> bool:
    try:
        return (await qdrant.observe(peer)).leader is not None
    except Retryable:
        return False


def wanted(spec: dict[str, Any]) -> Desired:
    """The object, with all its aliases granted already."""
    parsed = CollectionSpec.model_validate(spec)
    return Desired(str(parsed.name), "default/x/uid", parsed, granted=frozenset({"live", "next"}))


async def seen(qdrant: QdrantRest, peer: Endpoint, desired: Desired) -> Observed:
    """One look."""
    view = await qdrant.observe(peer)
    collection = await observe_collection(qdrant, peer, desired.name, (view,))
    observed = observed_shards(desired, (view,), collection)
    pods = (PodSeen("vectors-0", 0, view.peer),)
    return replace(observed, aliases=await qdrant.aliases(peer), pods=pods)


async def settle(qdrant: QdrantRest, peer: Endpoint, spec: dict[str, Any]) -> tuple[CollectionStep, ...]:
    """Carry out first steps until nothing is planned; returns them. Indexes are awaited, not asked for twice."""
    taken: list[CollectionStep] = []
    desired = wanted(spec)
    planned: CollectionPlan = Plan()
    for _ in range(int(PATIENCE / LOOK_EVERY)):
        planned = plan(desired, await seen(qdrant, peer, desired))
        if planned == Plan():
            return tuple(taken)
        if planned.steps[0] not in taken:
            await ask(qdrant, peer, planned.steps[0])
            taken.append(planned.steps[0])
        await asyncio.sleep(LOOK_EVERY)
    raise AssertionError(f"does not settle: {planned}")


@pytest.mark.parametrize("spec", [FULL, MINIMAL, SPARSE_ONLY, KEYED], ids=lambda spec: spec["name"])
async def test_what_was_created_needs_no_change(
    qdrant: QdrantRest, peer: Endpoint, spec: dict[str, Any]
) -> None:
    """After a collection was created, indexed and given its aliases, nothing is left to do, and stays so."""
    taken = await settle(qdrant, peer, spec)
    names = [type(step).__name__ for step in taken]
    assert names[0] == "CreateCollection"
    assert names.count("UpdateCollection") == ("readFanOutFactor" in spec)
    live = (await seen(qdrant, peer, wanted(spec))).collection
    assert isinstance(live, Live)
    assert live.owner == "default/x/uid"
    assert plan(wanted(spec), await seen(qdrant, peer, wanted(spec))) == Plan()


async def test_every_mutable_setting_is_changed_by_one_patch(qdrant: QdrantRest, peer: Endpoint) -> None:
    """Every mutable setting but the factors is another: one PATCH, and then nothing is left to do."""
    await settle(qdrant, peer, FULL)
    before = (await seen(qdrant, peer, wanted(FULL))).collection
    taken = await settle(qdrant, peer, CHANGED)
    after = (await seen(qdrant, peer, wanted(FULL))).collection
    assert isinstance(before, Live)
    assert isinstance(after, Live)
    names = [type(step).__name__ for step in taken]
    assert names.count("UpdateCollection") == 1
    assert sorted(after.indexes) == ["body", "tenant"]
    assert after.config["hnsw_config"] == {**before.config["hnsw_config"], "m": 21, "on_disk": False}
    assert after.config["strict_mode_config"]["multivector_config"] == {"text": {"max_vectors": 7}}
    assert set(await qdrant.aliases(peer)) == {"next"}


async def test_settings_nobody_declared_are_left_alone(qdrant: QdrantRest, peer: Endpoint) -> None:
    """A collection with every setting is as a spec that declares only its vectors says: nothing is planned."""
    await settle(qdrant, peer, FULL)
    bare = {key: FULL[key] for key in ("clusterRef", "name")}
    vectors = {
        name: {"size": v["size"], "distance": v["distance"]} for name, v in FULL["namedVectors"].items()
    }
    spec = {**bare, "namedVectors": vectors, "sparseVectors": {"bm25": {}, "plain": {}}}
    desired = replace(wanted(spec), granted=frozenset())
    assert plan(desired, await seen(qdrant, peer, wanted(FULL))) == Plan()


async def test_a_collection_with_qdrants_defaults_can_be_adopted_by_a_spec_that_spells_them_out(
    qdrant: QdrantRest, peer: Endpoint
) -> None:
    """Defaults that Qdrant leaves out of its answer count as declared: adoption marks, and changes nothing."""
    await qdrant.create_collection(
        peer, "plain", {"vectors": {"size": 4, "distance": "Dot"}, "sparse_vectors": {"a": {}}}
    )
    spelled = {
        **MINIMAL,
        "vectors": {**MINIMAL["vectors"], "onDisk": False, "datatype": "float32"},
        "sparseVectors": {"a": {"modifier": "none", "onDisk": False, "datatype": "float32"}},
        "shardNumber": 1,
        "replicationFactor": 1,
        "writeConsistencyFactor": 1,
        "readFanOutFactor": 0,
        "onDiskPayload": True,
        "hnsw": {"m": 16, "onDisk": False, "inlineStorage": False},
        "optimizers": {"maxOptimizationThreads": "auto", "deletedThreshold": 0.2},
    }
    taken = await settle(qdrant, peer, spelled)
    assert [type(step).__name__ for step in taken] == ["TakeOver"]
    told = await qdrant.collection(peer, "plain")
    assert told["config"]["metadata"] == {OWNER_KEY: "default/x/uid"}


def test_the_full_spec_sets_every_field() -> None:
    """A setting that is added to the model is added to this suite too."""
    assert list(_unset(CollectionSpec.model_validate(FULL), "spec")) == ["spec.vectors"]
    assert not list(_unset(CollectionSpec.model_validate(FULL).named_vectors["text"], "vector"))  # type: ignore[index]


def _unset(model: Model, where: str) -> list[str]:
    """Fields without a value, in this model and, where they have one method or many entries, in those inside."""
    missing = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if value is None:
            missing.append(f"{where}.{name}")
        elif isinstance(value, Model) and name not in ("quantization", "cluster_ref"):
            missing += _unset(value, f"{where}.{name}")
    return missing
