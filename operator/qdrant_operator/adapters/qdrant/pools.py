"""Connection pools, one for each pod: a connection is never used for another pod, even at the same address."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which the server of Qdrant closes an idle connection, so that no request is sent on a
connection that is being closed."""
POOLS = 1024
"""Most pools that are kept; the least recently used idle one is closed first."""
CONNECTIONS = 16
"""Concurrent connections to one pod."""


@dataclass(slots=True)
class _Pool:
    session: aiohttp.ClientSession
    busy: int = 0


class Pools:
    """A pool for each recently used pod."""

    def __init__(self) -> None:
        """Open nothing before the first use."""
        self._pools: OrderedDict[str, _Pool] = OrderedDict()

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            await pool.session.close()

    @asynccontextmanager
    async def session(self, identity: str) -> AsyncIterator[aiohttp.ClientSession]:
        """The session of the pod with this uid; it is not closed while it is used."""
        pool = await self._pool(identity)
        pool.busy += 1
        try:
            yield pool.session
        finally:
            pool.busy -= 1

    async def _pool(self, identity: str) -> _Pool:
        pool = self._pools.get(identity)
        if pool is None:
            pool = self._pools[identity] = _Pool(_session())
            await self._evict()
        self._pools.move_to_end(identity)
        return pool

    async def _evict(self) -> None:
        """Close the oldest idle pools above the limit, but never the newest."""
        surplus = len(self._pools) - POOLS
        idle = [identity for identity, pool in list(self._pools.items())[:-1] if not pool.busy]
        for identity in idle[: max(surplus, 0)]:
            await self._pools.pop(identity).session.close()


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        ssl=False,
        socket_factory=_socket,
    )
    # A few compressed bytes may expand to gigabytes; `http` refuses compressed answers.
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that detects within 30 s that the other node is gone.

    During long calls (creating a snapshot) nothing is sent for minutes: without probes a dead node looks busy.
    """
    family, kind, protocol, *_ = address
    opened = socket.socket(family=family, type=kind, proto=protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened
