"""HTTP to Qdrant's peers: pools that belong to a pod, time limits, and errors told apart by who must act.

Knows nothing of clusters or collections: it sends one request to one peer and gives back the answer, or
raises `Unreachable` (nobody knows what happened) or `Refused` (somebody must act).
"""

from __future__ import annotations

import json
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from qdrant_operator.adapters.qdrant_json import error_message
from qdrant_operator.domain.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.wire import Endpoint, Json

CONNECT_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which Qdrant's server closes an idle connection, so that we never write into one
that is just being closed."""
POOLS = 1024
"""Pods whose pools are kept; the least recently used idle one goes first."""
CONNECTIONS = 16
"""Connections to one pod at a time."""

READS = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""

T = TypeVar("T")
ObserveLatency = Callable[[str, str, float], None]
"""Told after each call: operation, outcome (ok, refused, unreachable), seconds."""
MayAct = Callable[[], bool]
"""Asked before each call that may change something: whether this process is the one that acts."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a peer; `path` is quoted already (see `path`)."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    timeout: float = 5.0
    """Seconds for the whole call, connection included."""


@dataclass(slots=True)
class _Pool:
    session: aiohttp.ClientSession
    busy: int = 0


def path(*segments: str | int) -> str:
    """A path from raw segments; whatever a name contains, it stays one segment."""
    return "/" + "/".join(quote(str(segment), safe="") for segment in segments)


class PeerHttp:
    """Sends requests to peers.

    Every pod (`Endpoint.identity`) has a connection pool of its own: a kept-alive connection is never used
    for another pod, even when that one is given the same address.
    """

    def __init__(self, observe_latency: ObserveLatency, may_act: MayAct) -> None:
        """Nothing is opened before the first call."""
        self._observe_latency = observe_latency
        self._may_act = may_act
        self._pools: OrderedDict[str, _Pool] = OrderedDict()

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            await pool.session.close()

    async def json(self, endpoint: Endpoint, request: Request) -> Json:
        """The `result` of the answer.

        Raises:
            Unreachable: no answer in time, a 5xx, or something that is not Qdrant's envelope.
            Retryable: not sent, because this process must not act.
            Refused: Forbidden, NotFound, AlreadyExists or BadRequest, with Qdrant's message.
        """
        _, answer = await self._call(endpoint, request)
        if not isinstance(answer, dict) or "result" not in answer:
            raise Unreachable(f"{_what(endpoint, request)}: unusable answer, not Qdrant's envelope")
        return answer["result"]

    async def read(self, endpoint: Endpoint, request: Request, parse: Callable[[Json], T]) -> T:
        """The `result`, parsed; what `parse` cannot read is `Unreachable`, not empty."""
        result = await self.json(endpoint, request)
        try:
            return parse(result)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unreachable(f"{_what(endpoint, request)}: unusable answer: {error!r}") from error

    async def status(self, endpoint: Endpoint, request: Request, expected: tuple[int, ...]) -> int:
        """The status of a call whose `expected` statuses are answers; any other raises as `json` does."""
        return (await self._call(endpoint, request, expected))[0]

    async def _call(
        self, endpoint: Endpoint, request: Request, expected: tuple[int, ...] = ()
    ) -> tuple[int, Json]:
        # A process that stood still may go on in the middle of a step, long after another one took over.
        if request.method not in READS and not self._may_act():
            raise Retryable(f"not the leader: {_what(endpoint, request)} was not sent")
        limits = aiohttp.ClientTimeout(total=request.timeout, sock_connect=CONNECT_SECONDS)
        with self._measured(request.operation):
            async with self._send(endpoint, request, limits) as response:
                text = await response.text(errors="replace")
            if response.status in expected:
                return response.status, None
            return response.status, _parsed(endpoint, request, response.status, text)

    @asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, request: Request, *, read_seconds: float, buffer: int
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response whose body is read by the caller; each read has a time limit, the whole has none."""
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=read_seconds)
        with self._measured(request.operation):
            async with self._send(endpoint, request, limits, buffer) as response:
                if response.status >= 400:
                    _parsed(endpoint, request, response.status, await response.text(errors="replace"))
                yield response

    @asynccontextmanager
    async def _send(
        self, endpoint: Endpoint, request: Request, limits: aiohttp.ClientTimeout, buffer: int = 2**16
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send, and turn every failure to hear the whole answer into `Unreachable`."""
        url = URL(endpoint.url.rstrip("/") + request.path, encoded=True).update_query(dict(request.query))
        try:
            async with (
                self._session(endpoint) as session,
                session.request(
                    request.method,
                    url,
                    json=request.body,
                    headers=_headers(endpoint),
                    timeout=limits,
                    read_bufsize=buffer,
                    allow_redirects=False,
                ) as response,
            ):
                yield response
        except TimeoutError as error:
            raise Unreachable(f"{_what(endpoint, request)}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{_what(endpoint, request)}: {str(error) or type(error).__name__}") from error

    @asynccontextmanager
    async def _session(self, endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        pool = await self._pool(endpoint.identity)
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
        """Forget the oldest idle pools beyond the bound; the newest one is never forgotten."""
        surplus = len(self._pools) - POOLS
        idle = [identity for identity, pool in list(self._pools.items())[:-1] if not pool.busy]
        for identity in idle[: max(surplus, 0)]:
            await self._pools.pop(identity).session.close()

    def _measured(self, operation: str) -> _Measure:
        return _Measure(operation, self._observe_latency)


class _Measure:
    """Tells how long a call took and how it ended."""

    def __init__(self, operation: str, tell: ObserveLatency) -> None:
        self._operation, self._tell = operation, tell

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcome = "unreachable" if kind else "ok"
        self._tell(
            self._operation,
            "refused" if isinstance(error, Refused) else outcome,
            time.monotonic() - self._began,
        )


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        ssl=False,
        socket_factory=_socket,
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices within half a minute that the node at the other end is gone.

    Long calls (a snapshot being made) send nothing for minutes: without probes a dead node looks busy.
    """
    family, kind, protocol, *_ = address
    opened = socket.socket(family=family, type=kind, proto=protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """Identity encoding: Qdrant would compress snapshots on the fly, and their length would be lost."""
    headers = {"accept-encoding": "identity"}
    return headers if endpoint.api_key is None else headers | {"api-key": endpoint.api_key}


def _what(endpoint: Endpoint, request: Request) -> str:
    return f"{request.method} {endpoint.url}{request.path}"


def _parsed(endpoint: Endpoint, request: Request, status: int, text: str) -> Json:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status < 400:
        return answer
    message = error_message(answer, text)
    if status >= 500 or status in (408, 429):
        raise Unreachable(f"{_what(endpoint, request)}: {status}: {message}")
    raise Refused(_reason(status), message)


def _reason(status: int) -> str:
    return {401: "Forbidden", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists"}.get(
        status, "BadRequest"
    )
