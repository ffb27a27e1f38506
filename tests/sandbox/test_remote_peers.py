"""Simulated peers that live behind containers elsewhere: each lives and dies with its container's connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.qdrant_sim.remote import Containers

CONFIG = "cluster: {enabled: true}"


class Container:
    """The other end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def kill(self) -> None:
        """End without a word."""
        self.writer.close()
        await self.writer.wait_closed()

    async def told(self) -> dict[str, Any]:
        """The next thing it is told."""
        return dict(json.loads(await self.reader.readline()))

    async def exit_code(self) -> int:
        """What it ends with."""
        while "exit" not in (fact := await self.told()):
            pass
        return int(fact["exit"])


class Node:
    """Starts containers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.containers: list[Container] = []

    async def start(self, number: int = 0) -> Container:
        """Say hello as the pod `vectors-NUMBER`; number 0 may start alone."""
        door = [] if number == 0 else ["--bootstrap", "http://vectors-0:6335"]
        args = ["--config-path", "config.yaml", "--uri", f"http://vectors-{number}:6335", *door]
        hello = {"address": f"10.0.0.{number}", "volume": f"v{number}", "args": args, "env": {}}
        one = Container(*await asyncio.open_connection("127.0.0.1", self._port))
        self.containers.append(one)
        one.writer.write(json.dumps({**hello, "config": CONFIG}).encode() + b"\n")
        return one


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node, and the simulator that its containers connect to."""
    simulator = Containers()
    server = await simulator.serve("127.0.0.1", 0)
    node = Node(server.sockets[0].getsockname()[1])
    yield node
    for container in node.containers:
        await container.kill()
    server.close()
    await simulator.close()


async def members(port: int) -> set[str]:
    """URIs that the peer behind a port calls members."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/cluster") as answer:
        return {peer["uri"] for peer in (await answer.json())["result"]["peers"].values()}


async def test_containers_form_one_cluster(node: Node) -> None:
    """The second one joins through the first one's name, and both answer at ports of their own."""
    ports = [(await (await node.start(number)).told())["port"] for number in (0, 1)]
    assert await members(ports[0]) == {"http://vectors-0:6335/", "http://vectors-1:6335/"}
    assert ports[0] != ports[1]


async def test_a_peer_ends_with_its_container_and_comes_back_on_its_volume(node: Node) -> None:
    """A connection that breaks is a killed process: the port closes; the same volume is the same member."""
    first = await node.start()
    old = (await first.told())["port"]
    await first.kill()
    again = (await (await node.start()).told())["port"]
    with pytest.raises(aiohttp.ClientConnectorError):
        await members(old)
    assert len(await members(again)) == 1


async def test_a_container_that_is_asked_to_stop_ends_with_0(node: Node) -> None:
    """SIGTERM becomes a line, and the exit code comes back."""
    one = await node.start()
    await one.told()
    one.writer.write(b"terminate\n")
    assert await one.exit_code() == 0


async def test_a_peer_that_cannot_join_ends_with_101(node: Node) -> None:
    """Nobody answers at the name that it was told: it panics, as Qdrant does."""
    assert await (await node.start(1)).exit_code() == 101
