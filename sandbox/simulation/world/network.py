"""Simulated peers in virtual time: their processes, and calls that may be lost, repeated or late on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import unquote, urlsplit

from qdrant_operator.adapters.leadership import always
from qdrant_operator.adapters.qdrant.http import PeerHttp, Request
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json
from sandbox.qdrant_sim.core.api.answers import Answer, Call
from sandbox.qdrant_sim.core.api.api import handle
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.settings import Settings
from sandbox.qdrant_sim.core.universe import Universe
from sandbox.simulation.world.clock import EPOCH

REASONS = {401: "Forbidden", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists"}
LATEST = 3.0
"""Seconds by which an answer may be late."""


class VirtualUniverse:
    """All peers, moved by the running loop's virtual time."""

    def __init__(self, random: Random) -> None:
        """Nothing runs yet."""
        self.universe = Universe(Timeline(EPOCH), random)
        self.universe.pace = replace(
            self.universe.pace,
            transfer=random.choice((0.5, 0.5, 2.0, 12.0)),
            apply=(0.002, random.choice((0.02, 0.02, 1.0))),
        )
        self._timer: asyncio.TimerHandle | None = None

    # -- the peers ------------------------------------------------------------------------------------------

    def addresses(self) -> list[str]:
        """Addresses of every process."""
        return list(self.universe.peers)

    def at(self, address: str) -> Peer | None:
        """The process at an address."""
        return self.universe.peers.get(address)

    def linked(self, one: Peer, other: Peer) -> bool:
        """Whether two processes can talk to each other now."""
        return self.universe.linked(one, other)

    def start(self, address: str, disk: Disk, settings: Settings, then: Callable[[Peer], None]) -> None:
        """Start a process on a volume; `then` gets it at once."""
        self.act(lambda: then(self.universe.start(address, disk, settings)))

    def stop(self, peer: Peer, code: int) -> None:
        """End a process with an exit code."""
        self.act(lambda: self.universe.stop(peer, code))

    def on_commit(self, action: Callable[[Op, State], None]) -> None:
        """Call `action` with every entry of a log and the state before it, as the leader commits it."""
        self.universe.on_commit = action

    # -- what faults do to them -----------------------------------------------------------------------------

    def delay(self, address: str, seconds: float) -> None:
        """From now on a peer learns so many seconds later what is committed."""
        self.universe.lag[address] = seconds

    def end_delay(self, address: str) -> None:
        """A peer is no longer delayed."""
        self.universe.lag.pop(address, None)

    def delay_of(self, address: str) -> float:
        """Seconds by which a peer is delayed."""
        return self.universe.lag.get(address, 0.0)

    def freeze(self, address: str) -> None:
        """A process stops as under SIGSTOP."""
        peer = self.at(address)
        if peer is not None:
            self.act(lambda: self.universe.pause(peer, True))

    def resume(self, address: str) -> None:
        """A frozen process runs again."""
        peer = self.at(address)
        if peer is not None and peer.paused:
            self.act(lambda: self.universe.pause(peer, False))

    def cut_off(self, address: str, others: set[str]) -> None:
        """No messages between a peer and the others."""
        self.act(lambda: self.universe.partition({address}, others - {address}))

    def heal(self) -> None:
        """Every partition ends."""
        self.act(self.universe.heal)

    def recover(self) -> None:
        """Every delay, freeze and partition ends."""
        self.universe.lag.clear()
        for address in self.addresses():
            self.resume(address)
        self.heal()

    # -- time -----------------------------------------------------------------------------------------------

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
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)


@dataclass
class Weather:
    """How bad the network is now."""

    loss: float = 0.04
    """Chance that a request, and that an answer, is lost."""
    late: float = 0.05
    """Chance that an answer is late."""
    repeated: float = 0.03
    """Chance that a request reaches the peer twice."""

    def clear(self) -> None:
        """The network is good from now on."""
        self.loss = self.late = self.repeated = 0.0


class Line:
    """A client's connection to the peers, by their addresses."""

    def __init__(self, peers: VirtualUniverse, random: Random, weather: Weather) -> None:
        """Several lines share one weather."""
        self._peers, self._random, self._weather = peers, random, weather

    async def ask(self, host: str, call: Call, timeout: float) -> Answer:
        """One request and its answer.

        Raises:
            Unreachable: no answer; nothing is known about what the request did.
        """
        what = "/".join(call.segments)
        if self._random.random() < self._weather.loss:
            raise Unreachable(f"{what}: the request was lost")
        peer = self._peers.at(host)
        if peer is None or not peer.running:
            raise Unreachable(f"{what}: connection refused")
        try:
            async with asyncio.timeout(timeout):
                answer = await self._served(peer, call)
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer in {timeout} s") from error
        if answer.dropped or self._random.random() < self._weather.loss:
            raise Unreachable(f"{what}: the answer was lost")
        return answer

    async def _served(self, peer: Peer, call: Call) -> Answer:
        while peer.paused:  # noqa: ASYNC110 (nothing tells when it goes on)
            await asyncio.sleep(0.5)
        answer = await self._peers.respond(peer, call)
        if call.method != "GET" and peer.running and self._random.random() < self._weather.repeated:
            answer = await self._peers.respond(peer, call)
        if self._random.random() < self._weather.late:
            await asyncio.sleep(self._random.uniform(0.0, LATEST))
        return answer


class SimulatedHttp(PeerHttp):
    """The operator's HTTP client over a `Line`."""

    def __init__(
        self,
        line: Line,
        before: Callable[[str, Call], Callable[[], None]],
        resolve: Callable[[str], str] = str,
    ) -> None:
        """`before(host, call)` may raise (the process dies, the peer is out of reach); what it returns runs after.

        `resolve` gives the address of a host's name.
        """
        super().__init__(lambda _operation, _outcome, _seconds: None, always)
        self._line, self._before, self._resolve = line, before, resolve

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
        host = self._resolve(urlsplit(endpoint.url).hostname or "")
        call = Call(
            request.method,
            tuple(unquote(part) for part in request.path.strip("/").split("/")),
            dict(request.query),
            endpoint.api_key,
            request.body,
        )
        after = self._before(host, call)
        answer = await self._line.ask(host, call, request.timeout)
        after()
        return answer


class SimulatedQdrant(QdrantRest):
    """The real adapter over simulated peers."""

    def __init__(self, http: SimulatedHttp) -> None:
        """`http` is the line to them."""
        super().__init__(lambda _operation, _outcome, _seconds: None)
        self._http = http
