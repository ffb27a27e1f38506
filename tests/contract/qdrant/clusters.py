"""Clusters to run one suite against: simulated peers always, real ones when QDRANT_BIN names a server."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint
from sandbox.qdrant_sim.core.pace import Pace
from sandbox.qdrant_sim.host import PeerHost, RunningPeer

QUICK = Pace(start=0.05, contact=0.05, snapshot=0.05, promote=0.05, ready=0.2, refused=0.1)
CLUSTERED = {"QDRANT__CLUSTER__ENABLED": "true"}
KINDS = ["simulated", *(["real"] if os.environ.get("QDRANT_BIN") else [])]


CONSENSUS_SECONDS = 10
"""After this time the adapter gives up a call that waits for consensus."""


@asynccontextmanager
async def adapter() -> AsyncIterator[QdrantRest]:
    """The adapter under test."""
    rest_adapter = QdrantRest(lambda *_: None, consensus_seconds=CONSENSUS_SECONDS)
    try:
        yield rest_adapter
    finally:
        await rest_adapter.close()


@asynccontextmanager
async def agreed(kind: str, folder: Path, qdrant: QdrantRest, count: int) -> AsyncIterator[Cluster]:
    """So many peers of a kind that agree; skipped where that kind is not there."""
    if kind == "real" and not os.environ.get("QDRANT_BIN"):
        pytest.skip("QDRANT_BIN names no Qdrant")
    cluster = make(kind, folder)
    try:
        await form(cluster, qdrant, count)
        yield cluster
    finally:
        await cluster.close()


class Started(Protocol):
    """A started peer."""

    async def kill(self) -> int:
        """End it with SIGKILL; the exit code."""

    async def gone(self) -> int:
        """Wait for it to end by itself; the exit code."""

    def pause(self) -> None:
        """Let it stand still: SIGSTOP."""

    def resume(self) -> None:
        """Let it go on: SIGCONT."""


class Cluster:
    """Peers on loopback addresses of their own, numbered from 0."""

    def __init__(self, folder: Path, key: str | None = None) -> None:
        """`key` goes into the endpoints."""
        self.folder, self.key = folder, key
        self.network = f"127.{random.randrange(100, 220)}.{random.randrange(1, 250)}"
        self.running: dict[int, Started] = {}

    def address(self, number: int) -> str:
        """Where a peer listens."""
        return f"{self.network}.{number + 1}"

    def endpoint(self, number: int) -> Endpoint:
        """A peer as the adapter knows it."""
        return Endpoint(f"http://{self.address(number)}:6333", f"pod-{number}", self.key)

    def uri(self, number: int) -> str:
        """A peer's p2p URI."""
        return f"http://{self.address(number)}:6335"

    async def start(self, number: int, env: Mapping[str, str] = CLUSTERED, *args: str) -> None:
        """Start a peer on its volume; others join through peer 0."""
        join = ["--bootstrap", self.uri(0)] if number else []
        given = ["--uri", self.uri(number), *join, *args]
        self.running[number] = await self._launch(number, given, env)

    async def kill(self, number: int) -> None:
        """End it with SIGKILL."""
        await self.running.pop(number).kill()

    async def close(self) -> None:
        """Kill whatever runs."""
        for number in list(self.running):
            await self.kill(number)

    async def _launch(self, number: int, args: Sequence[str], env: Mapping[str, str]) -> Started:
        raise NotImplementedError


class SimulatedCluster(Cluster):
    """Peers of `sandbox.qdrant_sim`, over real sockets."""

    def __init__(self, folder: Path, key: str | None = None) -> None:
        super().__init__(folder, key)
        self.host = PeerHost(seed=1)
        self.host.universe.pace = QUICK

    async def _launch(self, number: int, args: Sequence[str], env: Mapping[str, str]) -> Started:
        volume = self.folder / str(number)
        return _Simulated(await self.host.start_peer(self.address(number), volume, args, env))

    async def close(self) -> None:
        await super().close()
        await self.host.close()


class RealCluster(Cluster):
    """Processes of the server that QDRANT_BIN names."""

    async def _launch(self, number: int, args: Sequence[str], env: Mapping[str, str]) -> Started:
        home = self.folder / str(number)
        home.mkdir(parents=True, exist_ok=True)
        settings = {
            "QDRANT__SERVICE__HOST": self.address(number),
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__STORAGE__STORAGE_PATH": str(home / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(home / "snapshots"),
            "QDRANT__STORAGE__PERFORMANCE__MAX_SEARCH_THREADS": "1",
        }
        with (home / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                os.environ["QDRANT_BIN"],
                *args,
                cwd=home,
                env={**os.environ, **settings, **env},
                stdout=log,
                stderr=log,
            )
        return _Process(process)


class _Simulated:
    def __init__(self, peer: RunningPeer) -> None:
        self._peer = peer

    async def kill(self) -> int:
        await self._peer.stop(graceful=False)
        return await self._peer.exited

    async def gone(self) -> int:
        return await self._peer.exited

    def pause(self) -> None:
        self._peer.pause()

    def resume(self) -> None:
        self._peer.resume()


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def kill(self) -> int:
        if self._process.returncode is None:
            self._process.kill()
        return await self._process.wait()

    async def gone(self) -> int:
        return await self._process.wait()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def make(kind: str, folder: Path, key: str | None = None) -> Cluster:
    """An empty cluster of this kind."""
    return SimulatedCluster(folder, key) if kind == "simulated" else RealCluster(folder, key)


async def form(cluster: Cluster, qdrant: QdrantRest, peers: int, env: Mapping[str, str] = CLUSTERED) -> None:
    """Start peers and wait until every one of them sees all as voters behind one leader."""
    for number in range(peers):
        await cluster.start(number, env)
        await eventually(lambda: formed(cluster, qdrant, number + 1))  # noqa: B023 (awaited in the loop)


async def formed(cluster: Cluster, qdrant: QdrantRest, peers: int) -> bool:
    """Whether the peers agree on who they are and who leads."""
    views = [await qdrant.observe(cluster.endpoint(number)) for number in range(peers)]
    return all(
        len(view.peers) == peers and view.voter and view.leader == views[0].leader is not None
        for view in views
    )


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """The first true value of a look at the world; looks that cannot be had count as false."""
    deadline, last = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            if found := await look():
                return found
        except (Retryable, Refused) as error:
            last = f": {error}"
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s{last}")


async def rest(endpoint: Endpoint, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """What an application, or an administrator, would send: status and answer."""
    headers = {"api-key": endpoint.api_key} if endpoint.api_key else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, endpoint.url + path, json=body) as response,
    ):
        return response.status, await response.json()


async def upsert(endpoint: Endpoint, collection: str, ids: range) -> int:
    """Write points of four dimensions; the status."""
    points = [{"id": i, "vector": [1.0, float(i), 2.0, 3.0], "payload": {"n": i}} for i in ids]
    status, _ = await rest(endpoint, "PUT", f"/collections/{collection}/points?wait=true", {"points": points})
    return status
