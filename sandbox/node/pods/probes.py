"""Startup, readiness and liveness: what tells a container that runs from one that works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from sandbox.node.kube import Manifest

Exec = Callable[[list[str], float], Awaitable[bool]]
"""Runs a command in the container within so many seconds; tells whether it exited with 0."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed."""

    address: str
    ports: dict[str, int]
    """Named ports of the container."""
    execute: Exec

    def port(self, port: int | str) -> int:
        """Resolve a port's name."""
        return port if isinstance(port, int) else self.ports[port]


@dataclass(slots=True)
class Health:
    """What the probes have found."""

    started: bool = False
    ready: bool = False


class Prober:
    """The probes of one start of a container."""

    def __init__(
        self,
        container: Manifest,
        target: Target,
        changed: Callable[[], None],
        unhealthy: Callable[[str], None],
    ) -> None:
        self.health = Health()
        self._container = container
        self._target = target
        self._changed = changed
        self._unhealthy = unhealthy

    async def run(self) -> None:
        """Probe until cancelled."""
        if not await self._loop("startupProbe"):
            return
        self.health.started = True
        self.health.ready = "readinessProbe" not in self._container
        self._changed()
        await asyncio.gather(self._readiness(), self._loop("livenessProbe"))

    async def _readiness(self) -> None:
        def note(healthy: bool) -> None:
            if self.health.ready != healthy:
                self.health.ready = healthy
                self._changed()

        await self._loop("readinessProbe", note)

    async def _loop(self, kind: str, note: Callable[[bool], None] | None = None) -> bool:
        """Probe at the wanted pace, and act when a threshold is passed.

        Readiness goes on for ever and tells `note`. The others end the container when they fail; startup ends with
        its first success. Returns whether it ended well.
        """
        probe = self._container.get(kind)
        if probe is None:
            return True
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        streak, last = 0, None
        while True:
            healthy = await check(probe, self._target)
            streak = streak + 1 if healthy == last else 1
            last = healthy
            if streak >= _threshold(probe, healthy):
                if note is not None:
                    note(healthy)
                elif not healthy:
                    self._unhealthy(f"{kind.removesuffix('Probe')} probe failed")
                    return False
                elif kind == "startupProbe":
                    return True
            await asyncio.sleep(probe.get("periodSeconds", 10))


def _threshold(probe: Manifest, healthy: bool) -> int:
    return int(probe.get("successThreshold", 1) if healthy else probe.get("failureThreshold", 3))


async def check(probe: Manifest, target: Target) -> bool:
    """Probe once."""
    seconds = float(probe.get("timeoutSeconds", 1))
    if "exec" in probe:
        return await target.execute(probe["exec"]["command"], seconds)
    try:
        async with asyncio.timeout(seconds):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], target)
            action = probe.get("tcpSocket") or probe["grpc"]
            return await _tcp(action.get("host") or target.address, target.port(action["port"]))
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False


async def _http(action: Manifest, target: Target) -> bool:
    scheme = action.get("scheme", "HTTP").lower()
    url = f"{scheme}://{action.get('host') or target.address}:{target.port(action['port'])}{action.get('path', '/')}"
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders", ())}
    # like kubelet: a probe does not check certificates, and never reuses a connection
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=headers, allow_redirects=False) as response,
    ):
        return 200 <= response.status < 400


async def _tcp(host: str, port: int) -> bool:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
