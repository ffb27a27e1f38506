"""Simulated peers in real time: what the sandbox's node starts in place of a Qdrant process.

One `PeerHost` carries any number of peers of any number of clusters, with one timer in all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import aiohttp

from sandbox.qdrant_sim.core.api.answers import Answer, Call
from sandbox.qdrant_sim.core.api.api import handle
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.settings import Settings, parse
from sandbox.qdrant_sim.core.universe import Universe
from sandbox.qdrant_sim.http import PeerServer

MARKER = ".qdrant-simulated"
"""File on a volume that says which simulated disk it is; an empty volume is a new disk."""
KILLED, TERMINATED = -9, 0
SHUTDOWN_SECONDS = 0.3
"""How long an orderly stop takes."""


class RunningPeer:
    """One started peer."""

    def __init__(self, host: PeerHost, core: Peer, listen: tuple[str, int]) -> None:
        """Made by `PeerHost.start_peer`; `listen` is where its REST port opens."""
        self._host, self.core, self._listen = host, core, listen
        loop = asyncio.get_running_loop()
        self.listening: asyncio.Future[int] = loop.create_future()
        """Becomes the port, when the peer has joined its cluster."""
        self.exited: asyncio.Future[int] = loop.create_future()
        """Becomes the exit code: 101 when it cannot join, 0 after an orderly stop, -9 after a kill."""
        self._server = PeerServer(self._respond)
        self._going = asyncio.Event()
        self._going.set()

    @property
    def address(self) -> str:
        """Where its REST port opens."""
        return self._listen[0]

    @property
    def log(self) -> list[str]:
        """What the process wrote."""
        return self.core.log

    async def stop(self, graceful: bool = True) -> None:
        """SIGTERM, or kill -9; the disk keeps what was acknowledged."""
        if graceful and not self.exited.done():
            await asyncio.sleep(SHUTDOWN_SECONDS)
        self._host.act(lambda: self._host.universe.stop(self.core, TERMINATED if graceful else KILLED))
        await self._server.close()

    def pause(self) -> None:
        """SIGSTOP: connections are accepted, nothing answers."""
        self._going.clear()
        self._host.act(lambda: self._host.universe.pause(self.core, paused=True))

    def resume(self) -> None:
        """SIGCONT."""
        self._going.set()
        self._host.act(lambda: self._host.universe.pause(self.core, paused=False))

    async def serve(self) -> None:
        """Open the REST port; called when the peer has joined its cluster."""
        try:
            self.listening.set_result(await self._server.open(*self._listen))
        except OSError as error:
            self.core.log.append(f"Panic occurred: cannot listen on {self._listen}: {error}")
            self._host.act(lambda: self._host.universe.stop(self.core, 101))

    async def end(self) -> None:
        """Close the port after the process has ended."""
        await self._server.close()
        if not self.exited.done():
            self.exited.set_result(self.core.exit_code or 0)

    async def _respond(self, call: Call) -> Answer:
        await self._going.wait()
        return await self._host.respond(self.core, call)


class PeerHost:
    """Starts peers, and moves their time with the real clock."""

    def __init__(self, seed: int | None = None) -> None:
        """`seed` fixes the peers' chance."""
        self._began = time.monotonic()
        self.universe = Universe(Timeline(datetime.now(UTC)), Random(seed))
        self.universe.on_running = self._running
        self.universe.on_exit = self._exited
        self.universe.fetch = self._fetch
        self._disks: dict[str, Disk] = {}
        self._peers: dict[int, RunningPeer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start_peer(
        self, address: str, volume: Path, args: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> RunningPeer:
        """Start a peer as `qdrant` would be started: arguments, environment, a folder for its storage.

        Returns at once; the REST port opens when the peer has joined, or `exited` tells why not.
        """
        settings = parse(args, env or {}, _read_text)
        return self.begin(address, _identity(volume), settings, (address, settings.http_port))

    def begin(self, address: str, volume: str, settings: Settings, listen: tuple[str, int]) -> RunningPeer:
        """Start a peer on the disk of a volume's identity; its REST port opens at `listen` (port 0: any)."""
        self._advance()
        core = self.universe.start(address, self._disks.setdefault(volume, Disk()), settings)
        peer = self._peers[id(core)] = RunningPeer(self, core, listen)
        self._arm()
        return peer

    def partition(self, one: set[str], other: set[str]) -> None:
        """No messages between the peers at these two sets of addresses."""
        self.act(lambda: self.universe.partition(one, other))

    def heal(self) -> None:
        """End every partition."""
        self.act(self.universe.heal)

    async def close(self) -> None:
        """Kill every peer."""
        for peer in list(self._peers.values()):
            await peer.stop(graceful=False)
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks)

    def act(self, action: Callable[[], None]) -> None:
        """Do something to the universe now."""
        self._advance()
        action()
        self._arm()

    async def respond(self, peer: Peer, call: Call) -> Answer:
        """Let a peer answer a call; waits as long as the peer does."""
        self._advance()
        reply = handle(peer, call)
        self._arm()
        if isinstance(reply, Answer):
            return reply
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        reply.then(lambda one: None if answer.done() else answer.set_result(one))
        return await answer

    def _advance(self) -> None:
        self.universe.timeline.advance(time.monotonic() - self._began)

    def _tick(self) -> None:
        self._timer = None
        self._advance()
        self._arm()

    def _arm(self) -> None:
        """One timer for whatever is due next in all clusters."""
        due = self.universe.timeline.next_due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            wait = max(0.0, due - (time.monotonic() - self._began))
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _running(self, core: Peer) -> None:
        self._spawn(self._peers[id(core)].serve())

    def _exited(self, core: Peer) -> None:
        peer = self._peers.pop(id(core), None)
        if peer is not None:
            self._spawn(peer.end())

    def _fetch(self, url: str, key: str | None, tell: Callable[[bytes | str], None]) -> None:
        self._spawn(self._download(url, key, tell))

    async def _download(self, url: str, key: str | None, tell: Callable[[bytes | str], None]) -> None:
        content = await _get(url, key)
        self.act(lambda: tell(content))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _get(url: str, key: str | None) -> bytes | str:
    headers = {"api-key": key} if key else {}
    limits = aiohttp.ClientTimeout(total=60)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.get(url, headers=headers) as response,
        ):
            return await response.read() if response.ok else f"status - {response.status} {response.reason}"
    except (aiohttp.ClientError, OSError) as error:
        return str(error)


def _identity(volume: Path) -> str:
    """What a volume is called; an empty one gets a name."""
    marker = volume / MARKER
    name = _read_text(str(marker))
    if name is None:
        name = uuid4().hex
        volume.mkdir(parents=True, exist_ok=True)
        marker.write_text(name)
    return name


def _read_text(path: str) -> str | None:
    file = Path(path)
    return file.read_text() if file.is_file() else None
