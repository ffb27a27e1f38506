"""An application in virtual time: it upserts and deletes points, and remembers what was acknowledged."""

from __future__ import annotations

import asyncio

from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Kind
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.qdrant_sim.core.api.routing import pick
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, Collection, State
from sandbox.qdrant_sim.core.disk import Local
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.simulation.world.network import Line, Weather
from sandbox.simulation.world.simulated import SimulatedWorld

PATIENCE = 8.0
"""Seconds that the application waits for an answer."""
LATE = 3.0
"""Seconds by which a peer may hear late and still send writes to the replicas that count."""
IDS = 60
"""Points of one collection."""


class Writer:
    """Writes through the client Service, as an application does that retries nothing."""

    def __init__(self, world: SimulatedWorld) -> None:
        """Nothing has been written."""
        self._server, self._random, self._node = world.server, world.random, world.node
        self._peers, self._cluster = world.peers, world.cluster
        self._line = Line(world.peers, world.random, Weather(loss=0.01, late=0.0, repeated=0.0))
        self.losses: list[str] = []
        """Pods and collections whose data was lost, in order."""
        self.acknowledged: dict[tuple[str, int], int] = {}
        """Value of each point that must be there: collection and id → value."""
        self._value = 0
        self.writes = self.failed = 0

    async def live(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._random.uniform(0.3, 2.5))
            await self._write()

    async def _write(self) -> None:
        random = self._random
        doors = sorted(self._node.listed())
        names = [c["metadata"]["name"] for c in self._server.all(Kind.COLLECTION)]
        if not doors or not names:
            return
        name, door = random.choice(names), random.choice(doors)
        ids = sorted({random.randrange(IDS) for _ in range(random.randint(1, 4))})
        deletes = random.random() < 0.1
        self._value += 1
        known = {point_id: self.acknowledged.pop((name, point_id), None) for point_id in ids}
        self.writes += 1
        losses, whole = len(self.losses), self._nobody_apart()
        status = await self._send(door, name, ids, deletes=deletes)
        if name in self.losses[losses:]:
            pass  # the user has deleted the collection meanwhile
        elif status == 200 and not deletes and whole and self._in_touch(door):
            self.acknowledged |= {(name, point_id): self._value for point_id in ids}
            if len(self.losses) > losses:
                self._forget_lost_meanwhile({(name, point_id) for point_id in ids})
        elif status == 404:
            self.acknowledged |= {
                (name, point_id): value for point_id, value in known.items() if value is not None
            }
        self.failed += status != 200

    def _forget_lost_meanwhile(self, written: set[tuple[str, int]]) -> None:
        """The volume that took a write may be lost before the write is acknowledged."""
        state = self._cluster.state()
        for key in written & set(self._gone(state) if state else ()):
            del self.acknowledged[key]

    def _nobody_apart(self) -> bool:
        """Whether every member that runs follows the leader.

        A replica that was apart may have taken other writes, and two histories become one when it is back: with
        a write consistency factor of 1 it may be either of them.
        """
        group = self._cluster.group()
        return group is not None and all(
            not peer.paused and self._in_touch(peer.address) for peer in list(group.live.values())
        )

    def _in_touch(self, door: str) -> bool:
        """Whether the peer follows the leader now, and not from afar.

        One that is cut off acknowledges writes to its own replica, which the others have called Dead already;
        with a write consistency factor of 1 Qdrant loses them when the network heals, whoever runs the cluster.
        """
        peer, leader = self._peers.at(door), self._cluster.leader()
        if peer is None or peer.disk.group is not self._cluster.group():
            return False
        if self._peers.delay_of(door) > LATE or self._leaves_out_replicas(peer):
            return False
        return leader is not None and self._peers.linked(leader, peer)

    def _leaves_out_replicas(self, peer: Peer) -> bool:
        """Whether the peer sends no writes to a replica that consensus calls Active.

        A peer that was cut off stops writing to replicas that it could not reach. For a moment after the network heals
        it still acknowledges writes to its own replica alone: Qdrant's own loss, with any operator.
        """
        state = self._cluster.state()
        return state is not None and any(_is_active(state, *replica) for replica in peer.shunned)

    async def _send(self, door: str, name: str, ids: list[int], *, deletes: bool) -> int:
        """The status of the answer; 0 where there is none: the write may or may not have happened."""
        value = self._value
        path = ("collections", name, "points", *(("delete",) if deletes else ()))
        rows = [{"id": point_id, "vector": [1.0, 0.0], "payload": {"value": value}} for point_id in ids]
        body = {"points": ids if deletes else rows}
        call = Call("POST" if deletes else "PUT", path, {"wait": "true"}, None, body)
        try:
            return (await self._line.ask(door, call, PATIENCE)).status
        except Unreachable:
            return 0

    def give_up(self, name: str) -> None:
        """The user deletes a collection: what was in it need not be there."""
        self.losses.append(name)
        self.acknowledged = {key: value for key, value in self.acknowledged.items() if key[0] != name}

    def missing(self, state: State) -> list[str]:
        """Acknowledged points that no existing volume of a holder has, as `state` says who holds what."""
        return [
            f"point {point_id} of {name} (value {self.acknowledged[name, point_id]})"
            for name, point_id in self._gone(state)
        ]

    def forget_lost(self, state: State) -> int:
        """Expect no more what was on lost volumes alone; how many points that were."""
        gone = self._gone(state)
        for key in gone:
            del self.acknowledged[key]
        return len(gone)

    def _gone(self, state: State) -> list[tuple[str, int]]:
        cache: dict[tuple[str, int], list[Local]] = {}

        def holders(collection: Collection, point_id: int) -> list[Local]:
            key = (collection.name, self._shard(collection, point_id))
            if key not in cache:
                cache[key] = list(self._locals(collection, key[1]).values())
            return cache[key]

        return [
            (name, point_id)
            for (name, point_id), value in sorted(self.acknowledged.items())
            if name in state.collections
            and not any(_has(local, point_id, value) for local in holders(state.collections[name], point_id))
        ]

    def good(self, state: State, name: str, number: int) -> set[int]:
        """Peers with an Active replica of the shard that has every acknowledged point of it."""
        collection = state.collections[name]
        mine = [(point_id, v) for (c, point_id), v in self.acknowledged.items() if c == name]
        points = [
            (point_id, value) for point_id, value in mine if self._shard(collection, point_id) == number
        ]
        found = set()
        for peer, local in self._locals(collection, number).items():
            active = collection.shards[number].replicas[peer] == ACTIVE
            if active and all(_has(local, point_id, value) for point_id, value in points):
                found.add(peer)
        return found

    def readable(self, state: State, name: str, number: int) -> set[int]:
        """Holders of a shard whose data exists and can be loaded."""
        return set(self._locals(state.collections[name], number))

    def _locals(self, collection: Collection, number: int) -> dict[int, Local]:
        """Data of a shard's holders on volumes that exist."""
        shard = collection.shards.get(number)
        disks = {disk.peer: disk for disk in self._node.living_disks().values() if not disk.removed}
        found = {}
        for peer in shard.replicas if shard else ():
            local = disks[peer].locals.get((collection.name, number)) if peer in disks else None
            if local is not None and not local.dummy:
                found[peer] = local
        return found

    def _shard(self, collection: Collection, point_id: int) -> int:
        return pick(sorted(collection.shards.values(), key=lambda shard: shard.id), point_id).id


def _has(local: Local, point_id: int, value: int) -> bool:
    """Whether the point is there, as written or newer."""
    point = local.points.get(point_id)
    return point is not None and (point.payload or {}).get("value", 0) >= value


def _is_active(state: State, name: str, number: int, peer: int) -> bool:
    collection = state.collections.get(name)
    shard = collection.shards.get(number) if collection else None
    return shard is not None and shard.replicas.get(peer) == ACTIVE
