"""One QdrantCluster whose peers are not there, its loop, and what the loop told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from qdrant_operator.domain.cluster.wanted.desired import OperatorPods
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.context import Context, Options
from sandbox.fakes.apiserver import FakeApiServer
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
    """Where it is."""

    kubernetes: FakeKubernetes
    told: Recorder
    clock: ManualClock
    world: Context
    loop: ClusterReconciler

    @property
    def subject(self) -> Manifest:
        """The QdrantCluster now."""
        return cluster_in(self.kubernetes)

    @property
    def guards(self) -> list[str]:
        """Guards in status.blocked."""
        return [wait["guard"] for wait in self.subject["status"].get("blocked") or ()]

    def there(self, kind: Kind, name: str = CLUSTER) -> Manifest | None:
        """An object of the namespace as the API server has it."""
        return self.kubernetes.server.get(kind, NAMESPACE, name)

    def make(self, kind: Kind, name: str, labels: dict[str, str] | None = None, **fields: object) -> None:
        """A user makes an object; `fields` are what its kind has beside a spec."""
        self.kubernetes.server.create({**manifest(kind, name, {}, labels), **fields}, USER)

    def edit(self, **spec: object) -> None:
        """A user changes fields of the spec."""
        self.kubernetes.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": spec}, USER)

    async def passes(self, count: int = 4) -> None:
        """So many passes, each on the newest object; after a conflict the next one looks again."""
        for _ in range(count):
            with suppress(Conflict):
                await self.loop.reconcile(self.subject)


def create_cluster(server: FakeApiServer) -> None:
    """A user creates a QdrantCluster of one peer."""
    server.create(manifest(Kind.CLUSTER, CLUSTER, {"version": "v1.19.0", "replicas": 1}), USER)


def cluster_in(kubernetes: FakeKubernetes) -> Manifest:
    """The QdrantCluster as this cache has it."""
    found = kubernetes.cached_one(Kind.CLUSTER, NAMESPACE, CLUSTER)
    assert found is not None
    return found


@asynccontextmanager
async def one_cluster() -> AsyncIterator[Place]:
    """A new cluster of one peer, whose operator runs in a pod."""
    clock, qdrant, told = ManualClock(), FaultyRest(), Recorder()
    kubernetes = FakeKubernetes(now=clock.now)
    create_cluster(kubernetes.server)
    options = Options("operator:test", operator_pods=OperatorPods("ops", {"app": "operator"}))
    world = Context(kubernetes, qdrant, clock, told, options)
    yield Place(kubernetes, told, clock, world, ClusterReconciler(world))
    await qdrant.close()
