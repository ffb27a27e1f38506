"""A simulated peer is tied to a process: the end of either is the end of both."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from sandbox.node.network.addresses import Addresses
from sandbox.node.peers import Peers, Started, install_stub
from sandbox.node.pods.process import Process
from sandbox.qdrant_sim.host import PeerHost


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[Addresses]:
    """Addresses that nobody else uses."""
    own = Addresses(tmp_path / "addresses.json")
    yield own
    own.close()


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    """A node's peers."""
    host = PeerHost(seed=1)
    yield Peers(host)
    await host.close()


def start(folder: Path, address: str, *args: str) -> tuple[Process, Started]:
    """Start a container's process as the node does, with these arguments for Qdrant."""
    root = folder / "root"
    env = {**os.environ, **install_stub(root), "QDRANT__CLUSTER__ENABLED": "true"}
    log = folder / "log"
    process = Process.start(["./qdrant", *args], env=env, cwd=root / "qdrant", log=log)
    return process, Started(address, root, folder / "volume", log)


async def answers(address: str) -> bool:
    """Whether a peer's REST port is open."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}:6333/livez") as response,
        ):
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def until_up(address: str) -> None:
    """Return once the peer answers; the test's time limit ends a vain wait."""
    while not await answers(address):
        pass


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 0)])
async def test_a_signal_to_the_process_ends_the_peer(
    peers: Peers, addresses: Addresses, tmp_path: Path, number: int, code: int
) -> None:
    """Kill -9 is exit code 137, SIGTERM an orderly stop with 0; either way the port is closed."""
    address = addresses.of("test", "v-0")
    process, started = start(tmp_path, address, "--uri", f"http://{address}:6335")
    living = asyncio.ensure_future(peers.live(process, started))
    await until_up(address)
    process.signal(number)
    assert await living == code
    assert not await answers(address)


async def test_a_peer_that_cannot_join_ends_its_process(
    peers: Peers, addresses: Addresses, tmp_path: Path
) -> None:
    """A joiner without an answer panics: its exit code 101 is the container's, its words are in the log."""
    own, nobody = addresses.of("test", "v-1"), addresses.of("test", "nobody")
    process, started = start(
        tmp_path, own, "--uri", f"http://{own}:6335", "--bootstrap", f"http://{nobody}:6335"
    )
    assert await peers.live(process, started) == 101
    assert not process.running
    assert "anic" in started.log.read_text()


async def test_a_start_script_that_fails_has_its_own_exit_code(
    peers: Peers, addresses: Addresses, tmp_path: Path
) -> None:
    """A process that ends before it comes to Qdrant is no peer, and reports what it said."""
    process, started = start(tmp_path, addresses.of("test", "v-0"))
    await process.wait(0)
    process.kill()
    assert await peers.live(process, started) == 137
