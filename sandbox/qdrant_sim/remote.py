"""All simulated peers of a Kubernetes in one process, each behind a real container elsewhere.

A container that stands for Qdrant (see `Hello`) keeps one connection to this server for as long as it lives: the
peer dies with it, and it ends with the peer's exit code. The container passes the bytes of its own port 6333 on to
the port that is told to it here. So kubelet, DNS, Services and volumes' identities are real; consensus, shards
and data are simulated, and end with this process. Run it: python -m sandbox.qdrant_sim.remote
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.qdrant_sim.core.settings import Settings, parse
from sandbox.qdrant_sim.host import PeerHost, RunningPeer

PORT = 7000


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line that a container sends, as JSON: how its peer is started."""

    address: str
    """The pod's address."""
    volume: str
    """Identity of the volume: a name that the container wrote on it when it was empty."""
    args: list[str]
    env: dict[str, str]
    """Variables whose names begin with QDRANT_."""
    config: str
    """Text of the file that `--config-path` names."""

    @property
    def settings(self) -> Settings:
        """What the peer is told."""
        return parse(self.args, self.env, lambda _path: self.config)


class Containers:
    """The peers of all connected containers."""

    def __init__(self) -> None:
        self._host = PeerHost()
        self._gone: set[asyncio.Future[None]] = set()

    async def serve(self, address: str, port: int) -> asyncio.Server:
        """Take connections from now on."""
        return await asyncio.start_server(self._live, address, port)

    async def close(self) -> None:
        """Kill every peer, and let every container know."""
        await self._host.close()
        await asyncio.gather(*self._gone)

    async def _live(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One container, from its first line to its last."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone.add(gone)
        try:
            hello = Hello(**json.loads(await reader.readline()))
            peer = self._host.begin(hello.address, hello.volume, hello.settings, ("0.0.0.0", 0))
            heeding = asyncio.ensure_future(self._heed(peer, reader))
            await self._tell(peer, writer)
            heeding.cancel()
        finally:
            writer.close()
            self._gone.discard(gone)
            gone.set_result(None)

    @staticmethod
    async def _tell(peer: RunningPeer, writer: asyncio.StreamWriter) -> None:
        """The port once there is one, then the exit code with what the process wrote."""
        await asyncio.wait([peer.listening, peer.exited], return_when=asyncio.FIRST_COMPLETED)
        if peer.listening.done():
            await _say(writer, {"port": peer.listening.result()})
        code = await peer.exited
        await _say(writer, {"exit": code, "log": peer.log})

    @staticmethod
    async def _heed(peer: RunningPeer, reader: asyncio.StreamReader) -> None:
        """A line asks for an orderly stop; the end of the connection is the end of the process."""
        line = await reader.readline()
        await peer.stop(graceful=bool(line))


async def _say(writer: asyncio.StreamWriter, fact: dict[str, Any]) -> None:
    with suppress(ConnectionError):  # a killed container hears nothing
        writer.write(json.dumps(fact).encode() + b"\n")
        await writer.drain()


async def run() -> None:
    """Serve until the process is ended."""
    server = await Containers().serve("0.0.0.0", PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run())
