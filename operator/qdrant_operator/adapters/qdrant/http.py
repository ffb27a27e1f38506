"""HTTP requests to Qdrant peers: a connection pool for each pod, time limits and errors.

Knows nothing of clusters or collections: it sends one request to one peer and returns the answer, or raises
`Unreachable` (the effect of the call is unknown) or `Refused` (a user must act).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from qdrant_operator.adapters.capped import MIB, TooLarge, read_capped
from qdrant_operator.adapters.leadership import MayAct
from qdrant_operator.adapters.qdrant.json import error_message
from qdrant_operator.adapters.qdrant.pools import Pools
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json

CONNECT_SECONDS = 3.0
ANSWER_BYTES = 32 * MIB
"""Largest answer that is read: telemetry of 10,000 shards takes some 7 MiB."""
ERROR_BYTES = 64 * 1024
"""Largest error of a download."""
READ_BYTES = 2**16
UNUSABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What parsing an answer that does not come from Qdrant may raise."""

READS = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""

T = TypeVar("T")
ObserveLatency = Callable[[str, str, float], None]
"""Called after each request: operation, outcome (ok, refused, unreachable), seconds."""


def unmeasured(_operation: str, _outcome: str, _seconds: float) -> None:
    """No measurements: commands and Jobs serve no metrics."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a peer; `path` is quoted (see the function `path`)."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    timeout: float = 5.0
    """Seconds for the whole call, connection included."""


def path(*segments: str | int) -> str:
    """A path from raw segments, quoted so that each name stays one segment.

    Raises:
        Refused: `BadRequest` for a name that quoting cannot keep as one segment.
    """
    for segment in segments:
        if segment in (".", ".."):
            raise Refused(
                "BadRequest", f"the name {segment!r} is not possible in a URL: it means a directory"
            )
    return "/" + "/".join(quote(str(segment), safe="") for segment in segments)


class PeerHttp:
    """Sends requests to peers.

    Every pod (`Endpoint.identity`) has its own connection pool: a connection is never used for another pod, even if
    that pod has the same address.
    """

    def __init__(self, observe_latency: ObserveLatency, may_act: MayAct) -> None:
        """Nothing is opened before the first call."""
        self._observe_latency = observe_latency
        self._may_act = may_act
        self._pools = Pools()

    async def close(self) -> None:
        """Close every connection."""
        await self._pools.close()

    async def json(self, endpoint: Endpoint, request: Request) -> Json:
        """The `result` of the answer.

        Raises:
            Unreachable: no answer in time, a 5xx, or something that is not Qdrant's envelope.
            Retryable: not sent, because this process is not the leader.
            Refused: Forbidden, NotFound, AlreadyExists or BadRequest, with Qdrant's message.
        """
        _, answer = await self._call(endpoint, request)
        if not isinstance(answer, dict) or "result" not in answer:
            raise Unreachable(f"{_what(endpoint, request)}: unusable answer, not Qdrant's envelope")
        return answer["result"]

    async def read(self, endpoint: Endpoint, request: Request, parse: Callable[[Json], T]) -> T:
        """The parsed `result`; an answer that `parse` cannot read is `Unreachable`, not empty."""
        result = await self.json(endpoint, request)
        try:
            return parse(result)
        except UNUSABLE as error:
            raise Unreachable(f"{_what(endpoint, request)}: unusable answer: {error!r}") from error

    async def status(self, endpoint: Endpoint, request: Request, expected: tuple[int, ...]) -> int:
        """The status of a call for which `expected` statuses are answers; others raise as in `json`."""
        return (await self._call(endpoint, request, expected))[0]

    async def _call(
        self, endpoint: Endpoint, request: Request, expected: tuple[int, ...] = ()
    ) -> tuple[int, Json]:
        # A process that was paused may resume in the middle of a step, long after another one became the leader.
        if request.method not in READS and not self._may_act():
            raise Retryable(f"not the leader: {_what(endpoint, request)} was not sent")
        limits = aiohttp.ClientTimeout(total=request.timeout, sock_connect=CONNECT_SECONDS)
        with self._measured(request.operation):
            async with self._send(endpoint, request, limits) as response:
                text = await _text(response, ANSWER_BYTES, _what(endpoint, request))
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
                    text = await _text(response, ERROR_BYTES, _what(endpoint, request))
                    _parsed(endpoint, request, response.status, text)
                yield response

    @asynccontextmanager
    async def _send(
        self, endpoint: Endpoint, request: Request, limits: aiohttp.ClientTimeout, buffer: int = 2**16
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send; every failure to read the whole answer raises `Unreachable`."""
        what = _what(endpoint, request)
        try:
            async with self._session(endpoint) as session:
                sending = session.request(
                    request.method,
                    _url(endpoint, request),
                    json=request.body,
                    headers=_headers(endpoint),
                    timeout=limits,
                    read_bufsize=buffer,
                    allow_redirects=False,
                )
                async with await _sent(sending, what) as response:
                    yield response
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer in time") from error
        except TooLarge as error:
            raise Unreachable(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{what}: {str(error) or type(error).__name__}") from error

    @asynccontextmanager
    async def _session(self, endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        async with self._pools.session(endpoint.identity) as session:
            yield session

    def _measured(self, operation: str) -> _Measure:
        return _Measure(operation, self._observe_latency)


class _Measure:
    """Reports the duration and the outcome of a call."""

    def __init__(self, operation: str, observe_latency: ObserveLatency) -> None:
        self._operation, self._observe_latency = operation, observe_latency

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcome = "unreachable" if kind else "ok"
        self._observe_latency(
            self._operation,
            "refused" if isinstance(error, Refused) else outcome,
            time.monotonic() - self._began,
        )


def _url(endpoint: Endpoint, request: Request) -> URL:
    try:
        return URL(endpoint.url.rstrip("/") + request.path, encoded=True).update_query(dict(request.query))
    except ValueError as error:
        raise _unsendable(_what(endpoint, request)) from error


async def _sent(sending: Awaitable[aiohttp.ClientResponse], what: str) -> aiohttp.ClientResponse:
    """The beginning of the answer.

    Raises:
        Refused: `BadRequest` for values that HTTP cannot transport.
        Unreachable: the answer is compressed.
    """
    try:
        response = await sending
    except ValueError as error:
        raise _unsendable(what) from error
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        response.close()
        raise Unreachable(
            f"{what}: unusable answer: it is compressed ({encoding[:20]}), which was not requested"
        )
    return response


def _unsendable(what: str) -> Refused:
    """The message leaves out the values: one of them is a key."""
    return Refused(
        "BadRequest",
        f"{what}: cannot be sent: the address of the peer is invalid, or the API key has characters that are not"
        " allowed in a header; correct the Secret of the API key",
    )


async def _text(response: aiohttp.ClientResponse, limit: int, what: str) -> str:
    content = await read_capped(response.content.iter_chunked(READ_BYTES), limit, what)
    return content.decode(errors="replace")


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """Identity encoding: Qdrant would otherwise compress snapshots on the fly, without their length."""
    headers = {"accept-encoding": "identity"}
    return headers if endpoint.api_key is None else headers | {"api-key": endpoint.api_key}


def _what(endpoint: Endpoint, request: Request) -> str:
    return f"{request.method} {endpoint.url}{request.path}"


def _parsed(endpoint: Endpoint, request: Request, status: int, text: str) -> Json:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
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
