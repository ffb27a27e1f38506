"""Specs that cannot be followed as they are: one pass of the real loops, and what they write into status.blocked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_operator.domain.collection.status import RECONCILE
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.collection.loop import CollectionReconciler
from qdrant_operator.reconcile.context import Context, Options, Reconciler
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.domain.collection_model import DOCS
from tests.reconcile.collection_world import USER, FaultyRest, ManualClock, Recorder, manifest

PASSES = 4
"""The first passes of a new cluster record what they are about to do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A spec, and what is there beside it."""

    reason: str
    situation: str
    spec: Manifest
    kind: Kind = Kind.CLUSTER
    beside: tuple[Manifest, ...] = ()


def secret(**data: str) -> Manifest:
    """The Secret search-key."""
    return {**manifest(Kind.SECRET, "search-key", {}), "data": data}


KEYED = {"auth": {"apiKey": {"secretRef": {"name": "search-key", "key": "key"}}}}
WITH_KEY = manifest(
    Kind.STATEFUL_SET,
    "vectors",
    {"template": {"spec": {"containers": [{"env": [{"name": "QDRANT__SERVICE__API_KEY"}]}]}}},
)
FORMED = manifest(Kind.CLUSTER, "vectors", {"version": "v1.19.0", "auth": {"disabled": True}})
REFUSALS = (
    Refusal(
        "InvalidSpec",
        "The CRDs are older than the operator, and accepted an invalid value.",
        {"replicas": 0},
    ),
    Refusal(
        "InvalidConfig",
        "spec.config has a setting that the operator owns.",
        {"config": {"service": {"http_port": 80}}},
    ),
    Refusal(
        "InvalidSchedule",
        "The window's schedule has a day that never occurs.",
        {"shards": {"window": {"schedule": "0 1 30 2 *", "duration": "4h"}}},
    ),
    Refusal("SecretNotFound", "The Secret of the API key is missing.", KEYED),
    Refusal(
        "SecretKeyNotFound",
        "The Secret lacks the key that the spec names.",
        KEYED,
        beside=(secret(other="eA=="),),
    ),
    Refusal("SecretEmpty", "The value in the Secret is empty.", KEYED, beside=(secret(key=""),)),
    Refusal(
        "SecretValueInvalid",
        "The value in the Secret begins with a space.",
        KEYED,
        beside=(secret(key="IGtleQ=="),),
    ),
    Refusal(
        "ApiKeyLost",
        "Both Secrets with the API key were deleted, and the peers run with it.",
        {},
        beside=(WITH_KEY,),
    ),
    Refusal(
        "NameClash",
        "A Service of the cluster's name was not created for this cluster.",
        {},
        beside=(manifest(Kind.SERVICE, "vectors", {}),),
    ),
    Refusal(
        "ClusterNotFound",
        "A QdrantCollection names a cluster that does not exist.",
        {**DOCS, "clusterRef": {"name": "vektors"}},
        Kind.COLLECTION,
    ),
    Refusal(
        "ClusterNotReady",
        "The cluster of a QdrantCollection has not formed yet.",
        dict(DOCS),
        Kind.COLLECTION,
        (FORMED,),
    ),
)
"""One for each reason."""


def blocked(refusal: Refusal) -> list[Mapping[str, str]]:
    """status.blocked after the passes that it takes."""
    return asyncio.run(_blocked(refusal))


async def _blocked(refusal: Refusal) -> list[Mapping[str, str]]:
    clock, qdrant = ManualClock(), FaultyRest()
    kubernetes = FakeKubernetes(now=clock.now)
    world = Context(kubernetes, qdrant, clock, Recorder(), Options("operator:test"))
    name, base = ("vectors", {"version": "v1.19.0"}) if refusal.kind is Kind.CLUSTER else ("docs", {})
    for one in (*refusal.beside, manifest(refusal.kind, name, {**base, **refusal.spec})):
        kubernetes.server.create(one, USER)
    loop: Reconciler = (
        ClusterReconciler(world) if refusal.kind is Kind.CLUSTER else CollectionReconciler(world)
    )
    try:
        return await _passes(loop, kubernetes, refusal.kind, name)
    finally:
        await qdrant.close()


async def _passes(loop: Reconciler, kubernetes: FakeKubernetes, kind: Kind, name: str) -> list[Any]:
    for _ in range(PASSES):
        subject = kubernetes.cached_one(kind, "default", name)
        assert subject is not None
        await loop.reconcile(subject)
        found = ((kubernetes.cached_one(kind, "default", name) or {}).get("status") or {}).get("blocked")
        if found and found[0]["step"] in ("follow the spec", RECONCILE):
            return list(found)
    return []
