"""A cluster that cannot be made as its spec says: it is said once, and stays said, until somebody acts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from qdrant_operator.domain.wire import Kind, Manifest
from qdrant_operator.reconcile.cluster import ClusterReconciler
from qdrant_operator.reconcile.world import Options, World
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.collection_world import (
    CLUSTER,
    NAMESPACE,
    USER,
    FaultyRest,
    ManualClock,
    Recorder,
    manifest,
)


@dataclass
class Place:
    """One QdrantCluster, its loop, and what the loop told."""

    kubernetes: FakeKubernetes
    told: Recorder
    loop: ClusterReconciler

    @property
    def object(self) -> Manifest:
        """The QdrantCluster now."""
        found = self.kubernetes.cached_one(Kind.CLUSTER, NAMESPACE, CLUSTER)
        assert found is not None
        return found

    @property
    def guards(self) -> list[str]:
        """Guards in status.blocked."""
        return [wait["guard"] for wait in self.object["status"].get("blocked") or ()]

    async def passes(self, count: int) -> None:
        """So many passes, each on the newest object."""
        for _ in range(count):
            await self.loop.reconcile(self.object)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster whose client Service has the name of somebody else's."""
    clock, qdrant, told = ManualClock(), FaultyRest(), Recorder()
    kubernetes = FakeKubernetes(now=clock.now)
    kubernetes.server.create(manifest(Kind.SERVICE, CLUSTER, {}), USER)
    kubernetes.server.create(manifest(Kind.CLUSTER, CLUSTER, {"version": "v1.19.0", "replicas": 1}), USER)
    world = World(kubernetes, qdrant, clock, told, Options("operator:test"))
    yield Place(kubernetes, told, ClusterReconciler(world))
    await qdrant.close()


async def test_a_refused_step_is_said_once_and_stays_said(place: Place) -> None:
    """In status, as an Event and as a metric; further passes write nothing and say nothing new."""
    await place.passes(3)
    assert place.guards == ["NameClash"]
    assert place.told.guards == {CLUSTER: ("NameClash",)}
    writes, events = len(place.kubernetes.writes), list(place.told.events)
    assert [reason for _, reason, _ in events].count("NameClash") == 1
    before = place.object
    await place.passes(5)
    assert place.object == before
    assert place.told.events == events
    assert len(place.kubernetes.writes) == writes
    assert place.told.guards == {CLUSTER: ("NameClash",)}


async def test_when_the_cause_is_gone_it_goes_on_and_says_so(place: Place) -> None:
    """Somebody deletes the other Service: the objects are made, and the refusal leaves status and metrics."""
    await place.passes(3)
    place.kubernetes.server.delete(Kind.SERVICE, NAMESPACE, CLUSTER)
    await place.passes(1)
    assert "NameClash" not in place.guards
    assert "NameClash" not in place.told.guards[CLUSTER]
    await place.passes(1)
    assert place.kubernetes.cached_one(Kind.STATEFUL_SET, NAMESPACE, CLUSTER) is not None
