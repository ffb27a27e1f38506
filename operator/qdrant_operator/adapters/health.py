"""Health and metrics over HTTP: /healthz for the liveness probe, /readyz for the readiness probe, and /metrics.

Answers come from memory only: a probe must not depend on the API server or on Qdrant.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""Returns what is wrong; None when nothing is."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LAG_LIMIT: Final = 30.0
"""Seconds the event loop may be late before the process counts as stuck."""
_INTERVAL: Final = 1.0


class LoopLag:
    """How late the event loop runs its timers."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Measure from now on."""
        self._monotonic = monotonic
        self._due = monotonic()
        self._worst = 0.0

    async def run(self) -> None:
        """Measure once a second until cancelled."""
        while True:
            self._due = self._monotonic() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self._worst = max(self._monotonic() - self._due, self._worst * 0.9)

    def problem(self) -> str | None:
        """A message while the loop is later than `LAG_LIMIT`, or was within the last seconds."""
        lag = max(self._worst, self._monotonic() - self._due)
        return f"the event loop is {lag:.0f} s late" if lag > LAG_LIMIT else None


class HttpServer:
    """Serves probes and metrics until closed."""

    def __init__(self, *, healthy: Check, ready: Check, metrics: Callable[[], bytes]) -> None:
        """Answer /healthz by `healthy`, /readyz by `ready` and /metrics by `metrics`."""
        application = web.Application()
        application.router.add_get("/healthz", _probe(healthy))
        application.router.add_get("/readyz", _probe(ready))
        application.router.add_get("/metrics", _page(metrics))
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen at this address, at all of them when it is empty; returns the port (a free one for `port` 0)."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port) if host else web.SockSite(self._runner, everywhere(port))
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def everywhere(port: int) -> socket.socket:
    """A socket at all addresses of this machine, IPv6 and IPv4; only IPv4 where the kernel has no IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return socket.create_server(("0.0.0.0", port))  # noqa: S104 (probes come from outside the pod)


def _probe(check: Check) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        problem = check()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    return answer


def _page(metrics: Callable[[], bytes]) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=metrics(), headers=headers)

    return answer
