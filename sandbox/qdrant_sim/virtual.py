"""Simulated peers under a virtual clock: hours pass in milliseconds, and the same seed tells the same story."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.qdrant_sim.core.api.answers import Answer, Call
from sandbox.qdrant_sim.core.api.api import handle
from sandbox.qdrant_sim.core.choices import Choices
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.settings import parse
from sandbox.qdrant_sim.core.universe import Universe

CLUSTERED = {"QDRANT__CLUSTER__ENABLED": "true"}


class VirtualCluster:
    """Peers numbered from 0, at 127.0.1.1 and up; time passes only while something is waited for."""

    def __init__(self, seed: int = 1, choices: Choices | None = None) -> None:
        """Nothing runs yet."""
        self.time = Timeline()
        self.universe = Universe(self.time, Random(seed), choices)
        self.peers: dict[int, Peer] = {}
        self.disks: dict[int, Disk] = {}
        self.key: str | None = None
        """Sent with every call."""

    def address(self, number: int) -> str:
        """Where a peer is."""
        return f"127.0.{1 + number // 250}.{1 + number % 250}"

    def launch(
        self, number: int, *args: str, env: Mapping[str, str] | None = None, wipe: bool = False
    ) -> Peer:
        """Start a peer on its disk, or on an empty one, without waiting."""
        if wipe or number not in self.disks:
            self.disks[number] = Disk()
        uri = [] if "--uri" in args else ["--uri", f"http://{self.address(number)}:6335"]
        settings = parse([*uri, *args], {**CLUSTERED, **(env or {})}, lambda _: None)
        peer = self.universe.start(self.address(number), self.disks[number], settings)
        self.peers[number] = peer
        return peer

    def start(
        self, number: int, *args: str, env: Mapping[str, str] | None = None, wipe: bool = False
    ) -> Peer:
        """Start a peer and wait until it serves or ends."""
        peer = self.launch(number, *args, env=env, wipe=wipe)
        self.until(lambda: peer.running or peer.exit_code is not None)
        return peer

    def join(
        self, number: int, through: int = 0, env: Mapping[str, str] | None = None, *, wipe: bool = False
    ) -> Peer:
        """Start a peer that knows another one."""
        bootstrap = f"http://{self.address(through)}:6335"
        return self.start(number, "--bootstrap", bootstrap, env=env, wipe=wipe)

    def stop(self, number: int, signal: int = 9) -> None:
        """End a peer."""
        self.universe.stop(self.peers[number], -9 if signal == 9 else 0)

    def form(self, count: int, env: Mapping[str, str] | None = None) -> None:
        """Start a cluster, the first peer first, and wait until everybody votes."""
        self.start(0, env=env)
        for number in range(1, count):
            self.join(number, env=env)
        members = [self.peers[number] for number in range(count)]
        self.until(lambda: all(len(peer.disk.state.voters) == count for peer in members))
        self.until(lambda: not any(peer.disk.behind for peer in members))

    def ready(self, number: int) -> bool:
        """Whether a peer serves and says that it is ready."""
        return self.peers[number].running and self.peers[number].look_ready()

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.time.advance(self.time.now + seconds)

    def until(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """Let time pass, event by event, until something holds."""
        end = self.time.now + within
        while not condition():
            due = self.time.next_due()
            if due is None or due > end:
                raise AssertionError(f"the condition does not hold within {within:g} s")
            self.time.advance(due)

    def call(self, number: int, method: str, path: str, body: Any = None) -> Answer:
        """Ask a peer, and let time pass until it answers."""
        where, _, query = path.partition("?")
        segments = tuple(unquote(part) for part in where.strip("/").split("/")) if where != "/" else ()
        raw = b"" if body is None else json.dumps(body).encode()
        call = Call(method, segments, dict(parse_qsl(query)), self.key, body, raw)
        reply = handle(self.peers[number], call)
        if isinstance(reply, Answer):
            return reply
        self.until(lambda: reply.answer is not None, within=120.0)
        assert reply.answer is not None, "just waited for"
        return reply.answer

    def write(self, collection: str, ids: range, *, size: int = 4, through: int = 0, batch: int = 500) -> int:
        """Upsert points as an application does; the worst status."""
        worst = 200
        for begin in range(ids.start, ids.stop, batch):
            some = range(begin, min(begin + batch, ids.stop))
            points = [
                {"id": i, "vector": [1.0] * size, "payload": {"tenant": f"t{i % 7}", "n": i}} for i in some
            ]
            path = f"/collections/{collection}/points?wait=true"
            worst = max(worst, self.call(through, "PUT", path, {"points": points}).status)
        return worst

    def settled(self, collection: str, seen_by: int = 0) -> bool:
        """Whether no transfer runs."""
        return not self.peers[seen_by].disk.state.collections[collection].moves

    def sound(self, collection: str, seen_by: int = 0) -> bool:
        """Whether every replica is Active and no transfer runs."""
        found = self.peers[seen_by].disk.state.collections[collection]
        states = {state for shard in found.shards.values() for state in shard.replicas.values()}
        return states <= {"Active"} and not found.moves
