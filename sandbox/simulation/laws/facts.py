"""What is wrong with the simulated world, and since when: laws allow for what the operator cannot have noticed yet."""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.common.kinds import Kind
from sandbox.fakes.statefulset import is_ready
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, State
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.simulation.world.simulated import SimulatedWorld

NOTICED = 9.0
"""Seconds after which a fact must be known: a look takes up to 4, its answers are up to 3 late, caches lag by 2."""


class Facts:
    """Facts about peers and shards, each with the moment since which it holds without a break."""

    def __init__(self, world: SimulatedWorld) -> None:
        """Nothing is known."""
        self._server, self._peers, self._node = world.server, world.peers, world.node
        self._clock, self._cluster, self._conditions = world.clock, world.cluster, world.conditions
        self.since: dict[tuple[str, ...], float] = {}
        self._ended: dict[tuple[str, ...], float] = {}

    def look(self) -> None:
        """Bring the facts up to date."""
        now = self._clock.seconds()
        found = set(self._facts())
        self._ended.update(dict.fromkeys(self.since.keys() - found, now))
        self.since = {fact: self.since.get(fact, now) for fact in sorted(found)}

    def old(self, kind: str, seconds: float = NOTICED) -> list[tuple[str, ...]]:
        """Facts of a kind that must have been noticed."""
        now = self._clock.seconds()
        return [fact for fact, since in self.since.items() if fact[0] == kind and now - since > seconds]

    def known_by(self, kind: str, moment: float) -> list[tuple[str, ...]]:
        """Facts of a kind that still hold and must have been noticed at an earlier moment."""
        return [fact for fact, since in self.since.items() if fact[0] == kind and moment - since > NOTICED]

    def young(self, kind: str, seconds: float) -> list[tuple[str, ...]]:
        """Facts of a kind that have not held for so long yet."""
        old = self.old(kind, seconds)
        return [fact for fact in self.since if fact[0] == kind and fact not in old]

    def lately(self, kind: str) -> list[tuple[str, ...]]:
        """Facts of a kind that hold, or did so short ago that a look may still show them."""
        now = self._clock.seconds()
        ended = (fact for fact, end in self._ended.items() if now - end < NOTICED)
        return [fact for fact in (*self.since, *ended) if fact[0] == kind]

    def _facts(self) -> Iterator[tuple[str, ...]]:
        for disk in self._node.living_disks().values():
            yield ("volume", str(disk.peer))
        strangers = self._node.foreign_pods()
        for pod in self._server.all(Kind.POD):
            name = pod["metadata"]["name"]
            if not is_ready(pod) or "deletionTimestamp" in pod["metadata"]:
                yield ("down", name)
            else:
                yield ("ready", name)
            address = (pod.get("status") or {}).get("podIP")
            if address in self._conditions.unreachable:
                yield ("mute", name)
            elif name in strangers and address in self._node.listed():
                yield ("stranger", name)
        state = self._cluster.state()
        if state is not None:
            yield from self._of_consensus(state)

    def just_spoilt(self, name: str, number: int) -> set[int]:
        """Peers whose replica cannot be loaded any more, for so short that an answer from before may be on its way."""
        known = {fact[3] for fact in self.old("ill") if fact[1:3] == (name, str(number))}
        disks = self._node.living_disks().values()
        spoilt = {
            disk.peer
            for disk in disks
            if (local := disk.locals.get((name, number))) is not None and local.dummy
        }
        return {peer for peer in spoilt if str(peer) not in known}

    def just_lost(self, asked: float) -> set[int]:
        """Peers whose volume was there so short before a request was sent, or after it, that it could not be known."""
        ends = ((fact, end) for fact, end in self._ended.items() if fact[0] == "volume")
        return {int(fact[1]) for fact, end in ends if fact not in self.since and asked - end < NOTICED}

    def _is_spoilt(self, process: Peer, name: str, number: int) -> bool:
        local = process.disk.locals.get((name, number))
        return local is not None and local.dummy

    def _of_consensus(self, state: State) -> Iterator[tuple[str, ...]]:
        leader, running = self._cluster.leader(), self._cluster.running()
        if leader is None:
            yield ("no leader",)
        for member in state.peers:
            yield ("member", str(member))
            process = running.get(member)
            if process is None:
                yield ("missing", str(member))
            elif leader is not None and not self._peers.linked(leader, process):
                yield ("apart", str(member))
            if state.holds_shards(member):
                yield ("holds", str(member))
            if any(member in replicas and len(replicas) > 1 for replicas in _replicas(state)):
                yield ("copies", str(member))
        yield from self._of_shards(state, running)

    def _of_shards(self, state: State, running: dict[int, Peer]) -> Iterator[tuple[str, ...]]:
        for name, collection in state.collections.items():
            yield ("factor", name, str(collection.params["replication_factor"]))
            for move in collection.moves:
                yield ("transfer", name, str(move.shard), str(move.source), str(move.target))
            for number, shard in collection.shards.items():
                for peer, one in shard.replicas.items():
                    if one != ACTIVE or peer not in running or self._is_spoilt(running[peer], name, number):
                        yield ("ill", name, str(number), str(peer))


def _replicas(state: State) -> Iterator[dict[int, str]]:
    return (shard.replicas for one in state.collections.values() for shard in one.shards.values())
