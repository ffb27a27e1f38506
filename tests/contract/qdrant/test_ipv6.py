"""A network of IPv6 alone: peers started as in a pod listen there, find each other, and answer the operator."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from qdrant_operator.adapters.health import HttpServer
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Retryable
from qdrant_operator.domain.common.kinds import Endpoint, Manifest
from qdrant_operator.domain.manifests.start_script import FIRST_FILE, START_SCRIPT
from qdrant_operator.domain.qdrant.views import PeerView
from qdrant_operator.reconcile import access
from sandbox.qdrant_sim.host import PeerHost

LOOPBACK = "::1"
PORTS = ("HTTP_PORT", "GRPC_PORT", "P2P_PORT")


def pod(*addresses: str) -> Manifest:
    """A pod that runs at these addresses."""
    status = {"podIP": addresses[0], "podIPs": [{"ip": one} for one in addresses]}
    return {"metadata": {"name": "vectors-0", "uid": "pod-0"}, "status": status}


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    """A name or an address of IPv4 does not."""
    assert access.endpoint(pod("2600:1f16:dcd:8a04::5"), None).url == "http://[2600:1f16:dcd:8a04::5]:6333"
    assert access.endpoint(pod("10.0.0.7"), None).url == "http://10.0.0.7:6333"
    assert names.rest_url("vectors.default.svc") == "http://vectors.default.svc:6333"


def test_a_pod_of_two_families_is_known_by_each_of_its_addresses() -> None:
    """A Service lists whichever it was made for."""
    assert access.addresses(pod("10.0.0.7", "fd00::7")) == {"10.0.0.7", "fd00::7"}
    assert access.addresses({"status": {"podIP": "fd00::7"}}) == {"fd00::7"}
    assert access.addresses({}) == set()


async def test_probes_and_metrics_answer_on_both_families() -> None:
    """The kubelet asks at the pod's own address, of whichever family it is."""
    server = HttpServer(healthy=lambda: None, ready=lambda: None, metrics=lambda: b"")
    port = await server.start("", 0)
    async with aiohttp.ClientSession() as session:
        for host in ("127.0.0.1", LOOPBACK):
            async with session.get(URL.build(scheme="http", host=host, port=port, path="/healthz")) as answer:
                assert (answer.status, await answer.text()) == (200, "ok")
    await server.close()


@pytest.mark.parametrize("kind", ["simulated", "real"])
async def test_peers_answer_and_find_each_other_over_ipv6(kind: str, tmp_path: Path) -> None:
    """One simulated peer at ::1; of the real ones two, of which the second joins through the first."""
    binary = os.environ.get("QDRANT_BIN")
    if kind == "real" and not binary:
        pytest.skip("QDRANT_BIN names no Qdrant")
    rest = QdrantRest(lambda *_: None)
    try:
        async with (
            _simulated(tmp_path) if kind == "simulated" else _real(Path(str(binary)), tmp_path) as urls
        ):
            views = [await _settled(rest, Endpoint(url, url), len(urls)) for url in urls]
    finally:
        await rest.close()
    assert {view.leader for view in views} == {views[0].leader}
    assert all("[::1]" in uri for view in views for uri in view.peers.values())


async def _settled(rest: QdrantRest, endpoint: Endpoint, peers: int) -> PeerView:
    """What a peer says when it knows all of them and a leader."""
    async with asyncio.timeout(60):
        while True:
            try:
                view = await rest.observe(endpoint)
                if len(view.peers) == peers and view.leader is not None and view.ready:
                    return view
            except Retryable:
                pass
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _simulated(folder: Path) -> AsyncIterator[list[str]]:
    ports = _free_ports()
    host = PeerHost(seed=1)
    try:
        env = {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT__SERVICE__HTTP_PORT": str(ports["HTTP_PORT"])}
        await host.start_peer(LOOPBACK, folder, ["--uri", f"http://[::1]:{ports['P2P_PORT']}"], env)
        yield [f"http://[::1]:{ports['HTTP_PORT']}"]
    finally:
        await host.close()


@asynccontextmanager
async def _real(binary: Path, folder: Path) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as running:
        urls: list[str] = []
        first = ""
        for number in (0, 1):
            ports = _free_ports()
            uri = f"http://[::1]:{ports['P2P_PORT']}"
            first = first or uri
            await running.enter_async_context(_peer(binary, folder / str(number), number, uri, first, ports))
            urls.append(f"http://[::1]:{ports['HTTP_PORT']}")
        yield urls


@asynccontextmanager
async def _peer(
    binary: Path, root: Path, number: int, uri: str, first: str, ports: Mapping[str, int]
) -> AsyncIterator[None]:
    """A peer as the start script starts it in a pod whose only address is ::1, started again as a kubelet does."""
    for name in ("operator", "init", "storage"):
        (root / name).mkdir(parents=True)
    (root / "qdrant").symlink_to(binary)
    (root / "operator" / "config.yaml").write_text("{}\n")
    (root / "operator" / "members").write_text(f"{first}\n{uri}\n")
    (root / "operator" / "nobody").write_text("http://[::1]:1\n")
    (root / "operator" / FIRST_FILE).write_text("v-0\n")
    script = START_SCRIPT.replace("/qdrant/", f"{root}/").replace("cd /qdrant\n", f"cd {root}\n")
    env = {
        **os.environ,
        "POD_NAME": f"v-{number}",
        "POD_IPS": LOOPBACK,
        "QDRANT_PEER_URI": uri,
        "QDRANT_FIRST_POD": "v-0",
        "QDRANT__CLUSTER__ENABLED": "true",
        "QDRANT__SERVICE__HTTP_PORT": str(ports["HTTP_PORT"]),
        "QDRANT__SERVICE__GRPC_PORT": str(ports["GRPC_PORT"]),
        "QDRANT__CLUSTER__P2P__PORT": str(ports["P2P_PORT"]),
        "QDRANT__STORAGE__STORAGE_PATH": str(root / "storage"),
        "QDRANT__TELEMETRY_DISABLED": "true",
    }
    kubelet = asyncio.create_task(_kept_running(script, env, root / "log"))
    try:
        yield
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)


async def _kept_running(script: str, env: Mapping[str, str], log: Path) -> None:
    while True:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", script, env=dict(env), stdout=output, stderr=output
            )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.sleep(0.2)


def _free_ports() -> dict[str, int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket(socket.AF_INET6)) for _ in PORTS]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return dict(zip(PORTS, (one.getsockname()[1] for one in sockets), strict=True))
