"""The two worlds of the Kubernetes contract: the fake, and the real API server with the real adapter.

A world offers the operator's Kubernetes, and what other people do to the same objects.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from qdrant_operator.adapters.kubernetes.client import HttpKubernetes
from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.informer import Informers
from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.adapters.kubernetes.transport import MERGE_PATCH, Transport, path_of
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.ports import Kubernetes
from sandbox.fakes.kubernetes import FakeKubernetes
from sandbox.fakes.statefulset import StatefulSets

SOMEBODY = "somebody-else"
PATIENCE = 30.0
"""Seconds until a controller of the real cluster must have acted; seen: under 2."""


class World(Protocol):
    """What a contract test needs."""

    kubernetes: Kubernetes
    namespace: str

    async def edit(self, kind: Kind, name: str, body: Manifest) -> None:
        """Let somebody else merge-patch an object."""
        ...

    async def finish(self, pod: str) -> None:
        """Let the kubelet say that a deleted pod's containers have stopped."""
        ...

    async def settle(self) -> None:
        """Let the cluster's controllers take a turn."""
        ...

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is true; fails when the cluster had every chance."""
        ...


class FakeWorld:
    """The in-memory API server, its StatefulSet controller and garbage collector."""

    def __init__(self, namespace: str) -> None:
        """Start empty."""
        self.fake = FakeKubernetes()
        self.kubernetes: Kubernetes = self.fake
        self.namespace = namespace

    async def edit(self, kind: Kind, name: str, body: Manifest) -> None:
        """Let somebody else merge-patch an object."""
        self.fake.server.patch(kind, self.namespace, name, body, SOMEBODY)

    async def finish(self, pod: str) -> None:
        """End the grace period."""
        self.fake.server.finish(Kind.POD, self.namespace, pod)

    async def settle(self) -> None:
        """Run each controller once."""
        StatefulSets(self.fake.server).sync()
        self.fake.server.collect_garbage()

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """One turn of the controllers is all it takes here."""
        await self.settle()
        assert await true()


class RealWorld:
    """The real API server, the real adapter, watches running."""

    def __init__(self, kubernetes: HttpKubernetes, transport: Transport, namespace: str) -> None:
        """Use what `real_world` has opened."""
        self.kubernetes: Kubernetes = kubernetes
        self.transport = transport
        self.namespace = namespace

    async def edit(self, kind: Kind, name: str, body: Manifest) -> None:
        """Let somebody else merge-patch an object; a conflict of the server's own is tried again."""
        path = path_of(kind, self.namespace, name)
        while True:
            try:
                await self.transport.write(
                    "PATCH",
                    kind,
                    path,
                    body=body,
                    params={"fieldManager": SOMEBODY},
                    content_type=MERGE_PATCH,
                )
            except Conflict:
                continue
            return

    async def finish(self, pod: str) -> None:
        """Delete with a grace of 0, which is what a kubelet does."""
        body: Manifest = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        path = path_of(Kind.POD, self.namespace, pod)
        await self.transport.write("DELETE", Kind.POD, path, body=body)

    async def settle(self) -> None:
        """Real controllers need no push."""

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Look until it is true, for at most `PATIENCE` seconds."""
        deadline = time.monotonic() + PATIENCE
        while not await true():
            assert time.monotonic() < deadline, "the cluster did not do it in time"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def real_world(kubeconfig: Path, namespace: str) -> AsyncIterator[RealWorld]:
    """Open sessions, start the watches of one namespace and wait until they are in step."""
    server = await load_api_server(str(kubeconfig))
    async with open_session(server) as session, open_session(server, limit=0) as watching:
        transport, store = Transport(session, server.url), Store()
        informers = Informers(Transport(watching, server.url), store, namespaces=(namespace,))
        task = asyncio.create_task(informers.run())
        try:
            await asyncio.wait_for(informers.synced.wait(), PATIENCE)
            yield RealWorld(HttpKubernetes(transport, store), transport, namespace)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def config_map(namespace: str, name: str, data: dict[str, str], **labels: str) -> Manifest:
    """A small object of ours."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {**names.MANAGED, **labels}},
        "data": data,
    }


def bound_pod(namespace: str, name: str) -> Manifest:
    """A pod on a node: its deletion has a grace period."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(names.MANAGED)},
        "spec": {
            "nodeName": "a-node",
            "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "qdrant", "image": "qdrant/qdrant:v1.19.0"}],
        },
    }


def claim(namespace: str, name: str) -> Manifest:
    """A volume claim that a user makes by hand: no label of ours."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def cluster(namespace: str, name: str) -> Manifest:
    """A QdrantCluster: an object with a status that no controller of Kubernetes writes."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "QdrantCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"version": "v1.19.0"},
    }


def statefulset(namespace: str, name: str, replicas: int, **policy: str) -> Manifest:
    """A StatefulSet as the operator makes them, with one claim template."""
    selected = names.peer_selector(name)
    labels = {**names.cluster_labels(name), **selected}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace, "labels": names.cluster_labels(name)},
        "spec": {
            "replicas": replicas,
            "serviceName": names.headless_service(name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": selected},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": policy.get("deleted", "Retain"),
                "whenScaled": policy.get("scaled", "Retain"),
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "qdrant", "image": "qdrant/qdrant:v1.19.0"}]},
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "storage", "labels": dict(names.MANAGED)},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ],
        },
    }


async def read(world: World, kind: Kind, name: str) -> Manifest:
    """An object that is there, as the server has it."""
    found = await world.kubernetes.read(kind, world.namespace, name)
    assert found is not None
    return found


async def delete(world: World, kind: Kind, made: Manifest, *, foreground: bool = False) -> None:
    """Delete exactly the object that was made."""
    meta = made["metadata"]
    await world.kubernetes.delete(kind, world.namespace, meta["name"], uid=meta["uid"], foreground=foreground)
