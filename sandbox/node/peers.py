"""Simulated Qdrant peers: each is tied to a real process that can be killed, and answers on its pod's address.

The container's `./qdrant` is a stub that tells its arguments through a pipe and then only waits; the node hosts
the peer itself. When the process dies so does the peer, at once; when the peer ends, the process is ended and the
peer's exit code is the container's.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sandbox.node.pods.process import Process

STUB = """#!/bin/sh
# tells the node what it was started with, then stands for the peer's process
printf '%s\\0' "$@" > "$SANDBOX_STARTED"
exec sleep 2147483647
"""
_PANIC = 101


class SimulatedPeer(Protocol):
    """What the node uses of a peer of `sandbox.qdrant_sim`."""

    @property
    def exited(self) -> asyncio.Future[int]: ...

    @property
    def log(self) -> list[str]: ...

    async def stop(self, graceful: bool) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Host(Protocol):
    """What the node uses of `sandbox.qdrant_sim.host.PeerHost`."""

    async def start_peer(
        self, address: str, volume: Path, args: list[str], env: dict[str, str]
    ) -> SimulatedPeer: ...

    def partition(self, one: set[str], other: set[str], /) -> None: ...

    def heal(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Started:
    """A container that is to hold a simulated peer."""

    address: str
    root: Path
    """The container's root folder: its configuration's paths lie below."""
    volume: Path
    log: Path


class Peers:
    """All simulated peers of the node."""

    def __init__(self, host: Host | None) -> None:
        self._host = host
        self._running: dict[str, SimulatedPeer] = {}

    def partition(self, side: Iterable[str], other: Iterable[str]) -> None:
        """Cut the peer network between two sets of addresses."""
        assert self._host is not None
        self._host.partition(set(side), set(other))

    def heal(self) -> None:
        """End every partition."""
        if self._host is not None:
            self._host.heal()

    def runs_at(self, address: str) -> bool:
        """Whether a simulated peer runs at an address."""
        return address in self._running

    def pause(self, address: str) -> None:
        """Let a peer answer nothing."""
        if peer := self._running.get(address):
            peer.pause()

    def resume(self, address: str) -> None:
        """Let a paused peer go on."""
        if peer := self._running.get(address):
            peer.resume()

    async def live(self, process: Process, started: Started) -> int:
        """Host the peer of a stub's process until either ends; returns the container's exit code."""
        assert self._host is not None
        arguments = await self._arguments(process, started.root)
        if arguments is None:
            return await process.exited
        try:
            environment = await _environment(process)
            peer = await self._host.start_peer(started.address, started.volume, arguments, environment)
        except Exception as error:
            return await self._panicked(process, started.log, error)
        self._running[started.address] = peer
        try:
            return await _first_end(process, peer)
        finally:
            self._running.pop(started.address, None)
            _append(started.log, peer.log)

    async def _arguments(self, process: Process, root: Path) -> list[str] | None:
        """What the stub was started with, None when the process ended before it came to it."""
        reading = asyncio.ensure_future(_read_pipe(pipe_path(root)))
        ends: list[asyncio.Future[Any]] = [reading, process.exited]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return [part.decode() for part in reading.result().split(b"\0")[:-1]]
        reading.cancel()
        return None

    @staticmethod
    async def _panicked(process: Process, log: Path, error: Exception) -> int:
        _append(log, [f"Panic: {error}"])
        process.kill()
        await process.exited
        return _PANIC


def _append(log: Path, lines: Iterable[str]) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def pipe_path(root: Path) -> Path:
    """Where the stub tells that it has started."""
    return root / "started.pipe"


def install_stub(root: Path) -> dict[str, str]:
    """Put the stub in place of Qdrant; returns the environment it needs."""
    stub = root / "qdrant" / "qdrant"
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text(STUB)
    stub.chmod(0o755)
    os.mkfifo(pipe_path(root))
    return {"SANDBOX_STARTED": str(pipe_path(root))}


async def _read_pipe(path: Path) -> bytes:
    """Read all that one writer puts into a named pipe."""
    loop = asyncio.get_running_loop()
    # open for both: the read end alone would be at its end before the writer has come
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    arrived = asyncio.Event()
    loop.add_reader(descriptor, arrived.set)
    try:
        await arrived.wait()
        return os.read(descriptor, 1 << 16)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _environment(process: Process) -> dict[str, str]:
    """Environment of the process as it is now: with what the start script exported.

    For a moment of its exec a process shows none at all.
    """
    while not (found := _exported(process.pid)) and process.running:  # noqa: ASYNC110 (the kernel tells nobody)
        await asyncio.sleep(0)
    return found


def _exported(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs if b"=" in pair)


async def _first_end(process: Process, peer: SimulatedPeer) -> int:
    await asyncio.wait([process.exited, peer.exited], return_when=asyncio.FIRST_COMPLETED)
    if process.exited.done():
        terminated = process.exited.result() == 128 + signal.SIGTERM
        await peer.stop(graceful=terminated)
        return 0 if terminated else process.exited.result()
    process.kill()
    await process.exited
    return peer.exited.result()
