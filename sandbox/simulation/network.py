"""Simulated peers in virtual time: their processes, and calls that may be lost on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from urllib.parse import unquote, urlsplit

from qdrant_operator.adapters.qdrant import QdrantRest
from qdrant_operator.adapters.qdrant_http import PeerHttp, Request
from qdrant_operator.domain.errors import Refused, Unreachable
from qdrant_operator.domain.wire import Endpoint, Json
from sandbox.qdrant_sim.core.answers import Answer, Call
from sandbox.qdrant_sim.core.api import handle
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.timeline import Timeline
from sandbox.qdrant_sim.core.universe import Universe
from sandbox.simulation.clock import EPOCH

REASONS = {401: "Forbidden", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists"}


class VirtualUniverse:
    """All peers, moved by the running loop's virtual time."""

    def __init__(self, random: Random) -> None:
        self.universe = Universe(Timeline(EPOCH), random)
        self._timer: asyncio.TimerHandle | None = None

    def act(self, action: Callable[[], None]) -> None:
        """Do something to the peers now."""
        self._advance()
        action()
        self._arm()

    async def respond(self, peer: Peer, call: Call) -> Answer:
        """Let a peer answer."""
        self._advance()
        reply = handle(peer, call)
        self._arm()
        if isinstance(reply, Answer):
            return reply
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        reply.then(lambda one: None if answer.done() else answer.set_result(one))
        return await answer

    def _advance(self) -> None:
        self.universe.timeline.advance(asyncio.get_running_loop().time())

    def _tick(self) -> None:
        self._timer = None
        self._advance()
        self._arm()

    def _arm(self) -> None:
        due = self.universe.timeline.next_due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)


class LossyHttp(PeerHttp):
    """Requests to simulated peers; some are lost on their way there, some answers on their way back."""

    def __init__(self, peers: VirtualUniverse, random: Random, loss: float) -> None:
        super().__init__(lambda _operation, _outcome, _seconds: None)
        self._peers, self._random, self.loss = peers, random, loss

    async def json(self, endpoint: Endpoint, request: Request) -> Json:
        """One request, as the real client makes it."""
        answer = await self._answer(endpoint, request)
        if answer.status >= 500:
            raise Unreachable(f"{request.path}: {answer.status}: {answer.body}")
        if answer.status >= 400:
            raise Refused(REASONS.get(answer.status, "BadRequest"), json.dumps(answer.body))
        return answer.body["result"]

    async def status(self, endpoint: Endpoint, request: Request, expected: tuple[int, ...]) -> int:
        """Only the status code of an answer."""
        answer = await self._answer(endpoint, request)
        if answer.status not in expected:
            raise Unreachable(f"{request.path}: {answer.status}")
        return answer.status

    async def _answer(self, endpoint: Endpoint, request: Request) -> Answer:
        if self._random.random() < self.loss:
            raise Unreachable(f"{request.path}: the request was lost")
        host = urlsplit(endpoint.url).hostname or ""
        peer = self._peers.universe.peers.get(host)
        if peer is None or not peer.running:
            raise Unreachable(f"{request.path}: connection refused")
        call = Call(
            request.method,
            tuple(unquote(part) for part in request.path.strip("/").split("/")),
            dict(request.query),
            endpoint.api_key,
            request.body,
        )
        try:
            async with asyncio.timeout(request.timeout):
                answer = await self._peers.respond(peer, call)
        except TimeoutError as error:
            raise Unreachable(f"{request.path}: no answer in {request.timeout} s") from error
        if self._random.random() < self.loss:
            raise Unreachable(f"{request.path}: the answer was lost")
        return answer


class VirtualQdrant(QdrantRest):
    """The real adapter over simulated peers."""

    def __init__(self, http: LossyHttp) -> None:
        super().__init__(lambda _operation, _outcome, _seconds: None)
        self._http = http
