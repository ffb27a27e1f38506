"""How long one pass over a healthy cluster takes: the real loop and adapters, over HTTP, on a real API server.

A cluster is formed by the operator's process. That one is stopped, and the passes are taken here, alone, so that
nothing else of the operator runs beside them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.installed import PEERS, Installed, installed
from qdrant_operator.adapters.clock import SystemClock
from qdrant_operator.adapters.kubernetes.client import HttpKubernetes
from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.events import Events
from qdrant_operator.adapters.kubernetes.informer import Informers
from qdrant_operator.adapters.kubernetes.store import OWNED, Store
from qdrant_operator.adapters.kubernetes.transport import Transport
from qdrant_operator.adapters.metrics import ClusterReporter, Metrics
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.cluster.planner import decide
from qdrant_operator.domain.cluster.wanted.objects import find_drift
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.access import ClusterAccess, cluster_access
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.cluster.observe import observe
from qdrant_operator.reconcile.context import Context, Options
from sandbox.binaries import Part

NAMESPACE, CLUSTER = "bench", "vectors"
SHAPE: dict[str, Any] = {
    "vectors": {"size": 4, "distance": "Dot"},
    "shard_number": 3,
    "replication_factor": 2,
}
WARM_UP = 20
READY_SECONDS = 120.0
SYNC_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, in milliseconds."""

    count: int
    p50: float
    p99: float
    cpu: float
    """CPU time of this process for each, mean."""


@dataclass(frozen=True, slots=True)
class Passes:
    """One healthy cluster with so many collections."""

    peers: str
    collections: int
    whole: Times
    """A whole pass: look, plan, report."""
    look: Times
    """Peers asked over HTTP, objects compared."""
    compare: Times
    """Owned objects built and compared with the cache; part of the look."""
    plan: Times
    """The pure planner."""
    writes: int
    """Writes to the API server during all passes: a healthy cluster needs none."""


def measure(qdrant: Part, label: str, collections: list[int], count: int) -> list[Passes]:
    """Passes over one cluster of these peers, while its number of collections grows."""
    with installed(qdrant) as place:
        _form(place)
        return asyncio.run(_measure(place, label, collections, count))


def _form(place: Installed) -> None:
    place.namespace(NAMESPACE)
    operator = place.operator()
    operator.start()
    try:
        place.create(NAMESPACE, CLUSTER)
        place.wait_ready([NAMESPACE], 1, READY_SECONDS)
    finally:
        operator.stop()


async def _measure(place: Installed, label: str, collections: list[int], count: int) -> list[Passes]:
    found = []
    async with _world(place.sandbox.operator_kubeconfig) as world:
        access = await cluster_access(world.kubernetes, NAMESPACE, CLUSTER)
        for wanted in collections:
            await _fill(world, access, wanted)
            found.append(await _rounds(place, world, label, wanted, count))
    return found


async def _rounds(place: Installed, world: Context, label: str, collections: int, count: int) -> Passes:
    reconciler = ClusterReconciler(world)
    await _settle(world, reconciler)
    seen = await observe(world, _subject(world))
    assert len(seen.observed.peers) == PEERS, f"not all peers answer: {seen.observed.silent}"
    decided = decide(seen.request, seen.observed)
    mark = place.audit_log.stat().st_size
    whole = await _timed(lambda: reconciler.reconcile(_subject(world)), count)
    looking = await _timed(lambda: observe(world, _subject(world)), count)
    found = Passes(
        peers=label,
        collections=collections,
        whole=whole,
        look=looking,
        compare=await _timed(lambda: _pure(lambda: find_drift(decided.desired, decided.observed)), count),
        plan=await _timed(lambda: _pure(lambda: decide(seen.request, seen.observed)), count),
        writes=place.writes_since(mark),
    )
    after = await observe(world, _subject(world))
    assert not decide(after.request, after.observed).plan.steps, "the cluster was not healthy all the time"
    return found


async def _settle(world: Context, reconciler: ClusterReconciler) -> None:
    """Until a pass finds nothing to write: Qdrant tells of new shards a little later."""
    deadline, quiet = time.monotonic() + SYNC_SECONDS, 0
    while quiet < WARM_UP:
        before = _subject(world)
        await reconciler.reconcile(before)
        quiet = quiet + 1 if _subject(world) == before else 0
        assert time.monotonic() < deadline, f"the cluster does not come to rest: {before.get('status')}"


async def _fill(world: Context, access: ClusterAccess, wanted: int) -> None:
    present = await world.qdrant.collections(access.any)
    for number in range(len(present), wanted):
        await world.qdrant.create_collection(access.any, f"c{number}", SHAPE)


def _subject(world: Context) -> Manifest:
    found = world.kubernetes.cached_one(Kind.CLUSTER, NAMESPACE, CLUSTER)
    assert found is not None
    return found


async def _pure(work: Callable[[], object]) -> object:
    return work()


async def _timed(work: Callable[[], Any], count: int) -> Times:
    seconds = []
    cpu = time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    used = time.process_time() - cpu
    cuts = statistics.quantiles(seconds, n=100)
    return Times(count, cuts[49] * 1e3, cuts[98] * 1e3, used / count * 1e3)


@asynccontextmanager
async def _world(kubeconfig: Path) -> AsyncIterator[Context]:
    """The outside world as the operator's process wires it, but for kopf: our kind is watched as the owned ones."""
    server = await load_api_server(str(kubeconfig))
    async with open_session(server) as session, open_session(server, limit=0) as watching:
        store, metrics, clock = Store(), Metrics(), SystemClock()
        transport, qdrant = Transport(session, server.url), QdrantRest(metrics.called)
        informers = Informers(Transport(watching, server.url), store, kinds=(*OWNED, Kind.CLUSTER))
        following = asyncio.create_task(informers.run())
        try:
            await asyncio.wait_for(informers.synced.wait(), SYNC_SECONDS)
            reporter = ClusterReporter(metrics, Events(transport, clock, f"bench-{os.getpid()}"))
            yield Context(HttpKubernetes(transport, store), qdrant, clock, reporter, Options("bench"))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await qdrant.close()
