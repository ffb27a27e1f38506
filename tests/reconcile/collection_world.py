"""A cluster of simulated peers that answer on loopback addresses, and an API server in memory around it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json, Kind, Manifest
from qdrant_operator.domain.qdrant.views import PeerView, ShardKey
from qdrant_operator.reconcile.collection.loop import CollectionReconciler
from qdrant_operator.reconcile.context import Context, Options
from sandbox.fakes.kubernetes import FakeKubernetes
from sandbox.qdrant_sim.host import PeerHost, RunningPeer

NAMESPACE, CLUSTER = "default", "vectors"
USER = "kubectl"
PASSES = 400
"""Passes within which anything here has settled; seen: under 40."""
LOOK_EVERY = 0.02
"""Seconds between two passes while the simulated peers do something."""
_networks = itertools.count()
WHOLE: Manifest = {
    "shardNumber": 3,
    "replicationFactor": 2,
    "readFanOutFactor": 1,
    "hnsw": {"m": 24},
    "payloadIndexes": [{"field": "tenant", "type": "keyword", "isTenant": True}],
    "aliases": ["live"],
}
"""A spec with a bit of everything."""


class ManualClock:
    """Time moves when a test says so."""

    def __init__(self) -> None:
        """Begin at a fixed moment."""
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Move on by this much."""
        self.pass_by(seconds)
        await asyncio.sleep(0)

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self.moment += timedelta(seconds=seconds)


@dataclass
class Recorder:
    """Keeps what the loop told."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    guards: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """One Event."""
        self.events.append((kind, reason, message))

    def step(self, kind: str, step: str, outcome: str) -> None:
        """One step."""
        self.steps.append((step, outcome))

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Guards now."""
        self.guards[name] = guards


class FaultyRest(QdrantRest):
    """The real adapter over a network that loses answers, and a Qdrant that says no."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        super().__init__(lambda *_: None)
        self.lose_answer_of: dict[str, Exception] = {}
        """Method, and what is raised after it had its effect; once."""
        self.refuse: dict[str, Exception] = {}
        """Method, and what is raised instead of calling; until removed."""
        self.grey = False
        """Every collection has optimizations to do that wait for the next write."""
        self.changes: list[str] = []
        """Calls that change something."""

    async def collection(self, endpoint: Endpoint, name: str) -> Json:
        """GET."""
        told = await super().collection(endpoint, name)
        return {**told, "status": "grey"} if self.grey else told

    async def create_collection(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """PUT."""
        await self._faulty("create_collection", super().create_collection(endpoint, name, body))

    async def update_collection(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """PATCH."""
        await self._faulty("update_collection", super().update_collection(endpoint, name, body))

    async def put_payload_index(self, endpoint: Endpoint, name: str, field: str, schema: Json) -> None:
        """PUT index."""
        await self._faulty("put_payload_index", super().put_payload_index(endpoint, name, field, schema))

    async def delete_collection(self, endpoint: Endpoint, name: str) -> None:
        """DELETE."""
        await self._faulty("delete_collection", super().delete_collection(endpoint, name))

    async def update_aliases(self, endpoint: Endpoint, actions: Json) -> None:
        """POST aliases."""
        await self._faulty("update_aliases", super().update_aliases(endpoint, actions))

    async def create_shard_key(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """PUT shards."""
        await self._faulty("create_shard_key", super().create_shard_key(endpoint, name, body))

    async def delete_shard_key(self, endpoint: Endpoint, name: str, key: ShardKey) -> None:
        """POST shards/delete."""
        await self._faulty("delete_shard_key", super().delete_shard_key(endpoint, name, key))

    async def _faulty(self, method: str, call: Any) -> None:
        if method in self.refuse:
            call.close()
            raise self.refuse[method]
        self.changes.append(method)
        await call
        if method in self.lose_answer_of:
            raise self.lose_answer_of.pop(method)


@dataclass
class Cluster:
    """Simulated peers that have formed one cluster; several tests may use them, one after another."""

    host: PeerHost
    peers: list[RunningPeer]
    folder: Path


@dataclass
class Town:
    """Everything a test looks at."""

    kubernetes: FakeKubernetes
    qdrant: FaultyRest
    clock: ManualClock
    told: Recorder
    cluster: Cluster
    world: Context
    reconciler: CollectionReconciler

    def restart(self) -> None:
        """The operator process dies and comes back: what it had in memory is gone."""
        self.reconciler = CollectionReconciler(self.world)

    def endpoint(self, ordinal: int = 0) -> Endpoint:
        """Where a peer answers."""
        return Endpoint(f"http://{self.cluster.peers[ordinal].address}:{names.REST_PORT}", f"uid-{ordinal}")

    def declare(self, name: str = "docs", /, **spec: Any) -> Manifest:
        """A user applies a QdrantCollection."""
        body = {"clusterRef": {"name": CLUSTER}, "vectors": {"size": 4, "distance": "Dot"}, **spec}
        return self.kubernetes.server.create(manifest(Kind.COLLECTION, name, body), USER)

    def edit(self, name: str = "docs", /, **spec: Any) -> Manifest:
        """A user edits it."""
        return self.kubernetes.server.patch(Kind.COLLECTION, NAMESPACE, name, {"spec": spec}, USER)

    def delete(self, kind: Kind, name: str) -> None:
        """A user deletes an object."""
        self.kubernetes.server.delete(kind, NAMESPACE, name)

    def object(self, name: str = "docs") -> Manifest | None:
        """The object on the server."""
        return self.kubernetes.server.get(Kind.COLLECTION, NAMESPACE, name)

    def status(self, name: str = "docs") -> Manifest:
        """Its status."""
        found = self.object(name)
        assert found is not None
        status: Manifest = found.get("status") or {}
        return status

    def condition(self, type_: str, name: str = "docs") -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        one = next(one for one in self.status(name)["conditions"] if one["type"] == type_)
        return one["status"], one["reason"], one["message"]

    async def once(self, name: str = "docs") -> float:
        """One pass; the pause it asks for."""
        subject = self.kubernetes.cached_one(Kind.COLLECTION, NAMESPACE, name)
        assert subject is not None
        return (await self.reconciler.reconcile(subject)).after

    async def settle(self, name: str = "docs", *, restarting: bool = False) -> None:
        """Pass after pass, until one asks for a long pause or the object is gone."""
        for _ in range(PASSES):
            if restarting:
                self.restart()
            if self.kubernetes.cached_one(Kind.COLLECTION, NAMESPACE, name) is None:
                return
            if await self.once(name) >= self.world.options.watch_seconds:
                return
            await asyncio.sleep(LOOK_EVERY)
        raise AssertionError(f"{name} does not settle: {self.object(name)}")

    async def told_by(self, ordinal: int, caught_up: Callable[[Json], bool], name: str = "docs") -> Json:
        """What a peer tells of a collection once it has caught up: followers apply consensus a little later."""
        for _ in range(PASSES):
            told = await self.qdrant.collection(self.endpoint(ordinal), name)
            if caught_up(told):
                return told
            await asyncio.sleep(LOOK_EVERY)
        raise AssertionError(f"peer {ordinal} does not catch up: {told}")

    async def views(self) -> list[PeerView]:
        """What every peer says."""
        return [await self.qdrant.observe(self.endpoint(number)) for number in range(len(self.cluster.peers))]

    async def agreed(self, name: str = "docs") -> None:
        """Wait until all peers tell the same of a collection: what was asked for has reached each of them."""
        for _ in range(PASSES):
            told = [await self._tells(ordinal, name) for ordinal in range(len(self.cluster.peers))]
            if all(one == told[0] for one in told):
                return
            await asyncio.sleep(LOOK_EVERY)
        raise AssertionError("the peers do not come to tell the same")

    async def _tells(self, ordinal: int, name: str) -> Json:
        """What one peer tells; one that is still making its shards answers with an error, unlike any other."""
        endpoint = self.endpoint(ordinal)
        if name not in await self.qdrant.collections(endpoint):
            return None
        try:
            told = await self.qdrant.collection(endpoint, name)
        except Unreachable:
            return ordinal
        return told["config"], told["payload_schema"], dict(await self.qdrant.aliases(endpoint))

    async def known(self, ordinal: int = 0) -> tuple[str, ...]:
        """Collections that a peer knows."""
        return await self.qdrant.collections(self.endpoint(ordinal))


def manifest(kind: Kind, name: str, spec: Manifest, labels: dict[str, str] | None = None) -> Manifest:
    """An object."""
    meta = {"name": name, "namespace": NAMESPACE, "labels": labels or {}}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}


@asynccontextmanager
async def cluster(folder: Path, count: int = 3) -> AsyncIterator[Cluster]:
    """A formed cluster of simulated peers."""
    host = PeerHost(seed=7)
    network = f"127.{os.getpid() % 200 + 20}.{next(_networks) % 250}"
    try:
        peers = [await start(host, folder, network, ordinal) for ordinal in range(count)]
        async with town(Cluster(host, peers, folder)) as place:
            await _formed(place, count)
        yield Cluster(host, peers, folder)
    finally:
        await host.close()


@asynccontextmanager
async def town(formed: Cluster) -> AsyncIterator[Town]:
    """The cluster with its QdrantCluster and pods in an API server of its own."""
    clock, qdrant = ManualClock(), FaultyRest()
    kubernetes = FakeKubernetes(now=clock.now)
    told = Recorder()
    world = Context(kubernetes, qdrant, clock, told, Options("operator:test"))
    place = Town(kubernetes, qdrant, clock, told, formed, world, CollectionReconciler(world))
    _declare_cluster(kubernetes, len(formed.peers))
    for ordinal, peer in enumerate(formed.peers):
        declare_pod(kubernetes, ordinal, peer.address)
    try:
        yield place
    finally:
        await qdrant.close()


async def emptied(formed: Cluster) -> None:
    """Delete every collection, and wait until every peer has forgotten it."""
    async with town(formed) as place:
        for name in await place.known():
            await place.qdrant.delete_collection(place.endpoint(), name)
        for _ in range(PASSES):
            if not any([await place.known(ordinal) for ordinal in range(len(formed.peers))]):
                return
            await asyncio.sleep(LOOK_EVERY)
    raise AssertionError("collections do not go away")


async def start(host: PeerHost, folder: Path, network: str, ordinal: int) -> RunningPeer:
    """Start a peer; all but the first join it."""
    address = f"{network}.{ordinal + 1}"
    join = ["--bootstrap", f"http://{network}.1:6335"] if ordinal else []
    env = {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT__SERVICE__HOST": address}
    args = ["--uri", f"http://{address}:6335", *join]
    return await host.start_peer(address, folder / f"peer-{ordinal}", args, env)


def _declare_cluster(kubernetes: FakeKubernetes, peers: int) -> None:
    spec = {"version": "v1.19.0", "replicas": peers, "auth": {"disabled": True}}
    kubernetes.server.create(manifest(Kind.CLUSTER, CLUSTER, spec), USER)
    kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, {"bootstrap": {"phase": "Complete"}})


def declare_pod(kubernetes: FakeKubernetes, ordinal: int, address: str) -> None:
    """A running pod of the cluster."""
    labels = {**names.cluster_labels(CLUSTER), names.LABEL_COMPONENT: "peer"}
    name = names.pod_name(CLUSTER, ordinal)
    kubernetes.server.create(manifest(Kind.POD, name, {"containers": []}, labels), USER)
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": address, "conditions": [ready]}
    kubernetes.server.put_status(Kind.POD, NAMESPACE, name, status)


async def _formed(place: Town, peers: int) -> None:
    for _ in range(PASSES):
        try:
            views = [await place.qdrant.observe(place.endpoint(ordinal)) for ordinal in range(peers)]
        except Exception:
            views = []
        if views and all(len(view.peers) == peers and view.leader for view in views):
            return
        await asyncio.sleep(LOOK_EVERY)
    raise AssertionError("the simulated cluster does not form")
