"""A running Qdrant process: its role, what it does when consensus tells it something, how it heals itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from sandbox.qdrant_sim.core.api.answers import Json
from sandbox.qdrant_sim.core.choices import Choices
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.ops import Create, DropIndex, PutIndex, Remove
from sandbox.qdrant_sim.core.consensus.raft import CANDIDATE, FOLLOWER, LEADER, Group
from sandbox.qdrant_sim.core.consensus.shard_ops import Abort, Finish, SetReplica, Start
from sandbox.qdrant_sim.core.consensus.state import ACTIVE, DEAD, HEALTHY, INITIALIZING, Collection, Move
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk, Local
from sandbox.qdrant_sim.core.pace import Pace
from sandbox.qdrant_sim.core.settings import Settings
from sandbox.qdrant_sim.core.transfers import Transfers

Fetch = Callable[[str, str | None, Callable[[bytes | str], None]], None]
"""Gets a URL with an API key, and calls back with the bytes, or with what went wrong."""


class Surroundings(Protocol):
    """What a process needs of the world around it: time, chance, the network and the other processes."""

    timeline: Timeline
    choices: Choices
    pace: Pace
    peers: dict[str, Peer]
    """Processes by address."""
    fetch: Fetch

    def linked(self, one: Peer, other: Peer) -> bool:
        """Whether two processes can talk to each other now."""

    def reach(self, origin: Peer, member: int) -> Peer | None:
        """The running process of a peer id, if `origin` knows it and can talk to it."""

    def patience(self, origin: Peer, members: Iterable[int]) -> float:
        """Seconds until `origin` notices which of these peers do not answer."""


class Peer:
    """One process at one address, on one disk."""

    def __init__(self, universe: Surroundings, address: str, disk: Disk, settings: Settings) -> None:
        """The process exists; `Universe.start` brings it up."""
        self.universe, self.address, self.disk, self.settings = universe, address, disk, settings
        self.running = False
        """Its ports are open."""
        self.paused = False
        self.exit_code: int | None = None
        self.log: list[str] = []
        self.role: str | None = FOLLOWER
        self.leader: int | None = None
        self.ready = False
        self.joined = False
        """It became a member in this run of the process."""
        self.ballast = 0
        """Extra bytes in each snapshot this peer makes, to try large files."""
        self.shunned: set[tuple[str, int, int]] = set()
        """Replicas (collection, shard, peer) that failed a write and are left out until consensus says more."""
        self.silent_since: dict[int, float] = {}
        self.transfers = Transfers(self)
        self._looked: float | None = None
        self._healing = False
        self._building: dict[str, tuple[dict[str, Json], float]] = {}
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    @property
    def id(self) -> int:
        """Its peer id."""
        return self.disk.peer

    @property
    def group(self) -> Group[Peer]:
        """Its cluster."""
        group: Group[Peer] | None = self.disk.group
        assert group is not None, "a peer has a cluster once it runs"
        return group

    def reach(self, peer_id: int) -> Peer | None:
        """The running process of a peer that this one knows and can talk to."""
        return self.universe.reach(self, peer_id)

    def quietly(self, op: Op) -> None:
        """Propose an operation without waiting for it."""
        self.group.quietly(self, op)

    # -- roles ----------------------------------------------------------------------------------------------

    def lead(self, term: int) -> None:
        """Become leader."""
        self.role, self.leader, self.disk.term = LEADER, self.id, term

    def step_down(self) -> None:
        """A leader that hears of a later term leads no more."""
        self.role, self.leader = FOLLOWER, None

    def follow(self, leader: int, term: int) -> None:
        """Accept a leader."""
        if self.disk.removed:
            return
        self.role, self.leader, self.disk.term = FOLLOWER, leader, term
        self.heal_soon(self.universe.pace.heal)

    def campaign(self) -> None:
        """No leader to be heard: ask for votes in vain. A leader without majority does not notice."""
        if self.role == LEADER or self.disk.removed:
            return
        self.role, self.leader = CANDIDATE, None
        self.disk.term += 1

    # -- what consensus says --------------------------------------------------------------------------------

    def after(self, op: Op) -> None:
        """An operation has just been applied to this peer's state."""
        if isinstance(op, Remove):
            self._somebody_left(op.peer)
        else:
            name = getattr(op, "name", None)
            if name is not None:
                self.sync(name)
            self.transfers.after(op)
            if isinstance(op, SetReplica):
                self.shunned.discard((op.name, op.shard, op.peer))
            self._heal_after(op)
        self.learned()

    def after_snapshot(self) -> None:
        """The whole state was replaced by the leader's."""
        for name in {name for name, _ in self.disk.locals} | set(self.disk.state.collections):
            self.sync(name)
        self.heal_soon(self.universe.pace.heal)
        self.learned()

    def before(self, op: Op) -> None:
        """An operation is about to be applied: indexes take a moment to be built, or dropped."""
        if isinstance(op, PutIndex | DropIndex) and op.name in self.disk.state.collections:
            until = self.universe.timeline.now + self.universe.pace.index
            self._building[op.name] = (self.disk.state.collections[op.name].schema, until)

    def indexes_built(self, collection: Collection) -> dict[str, Json]:
        """The payload indexes that this peer's shards have by now."""
        schema, until = self._building.get(collection.name, ({}, 0.0))
        return schema if self.universe.timeline.now < until else collection.schema

    def learned(self) -> None:
        """Wake whoever waits for something in this peer's view."""
        for waiting in list(self._waiting):
            if waiting[0]():
                self._waiting.remove(waiting)
                waiting[1]()

    def when(self, condition: Callable[[], bool], then: Callable[[], None], within: float) -> None:
        """Run `then` once the condition holds in this peer's view, or when time is up."""
        if condition():
            then()
            return
        waiting = (condition, then)
        self._waiting.append(waiting)
        self.universe.timeline.after(within, lambda: self._give_up(waiting))

    def _give_up(self, waiting: tuple[Callable[[], bool], Callable[[], None]]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting[1]()

    def sync(self, name: str) -> None:
        """Make the shards on disk match the replicas that consensus gives this peer."""
        collection = self.disk.state.collections.get(name)
        mine = {} if collection is None else self._mine(collection)
        for key in [k for k in self.disk.locals if k[0] == name]:
            if key[1] not in mine or (collection and self.disk.locals[key].uuid != collection.uuid):
                del self.disk.locals[key]
        for number in mine:
            if collection is not None and (name, number) not in self.disk.locals:
                self.disk.locals[name, number] = Local(collection.uuid)

    def _mine(self, collection: Collection) -> dict[int, str]:
        return {n: s.replicas[self.id] for n, s in collection.shards.items() if self.id in s.replicas}

    def _somebody_left(self, peer: int) -> None:
        if peer != self.id:
            return
        self.disk.removed = True
        self.disk.state.peers = {self.id: self.disk.uri}
        self.disk.locals.clear()
        self.role = FOLLOWER
        self.group.live.pop(self.id, None)
        self.group.changed()

    # -- healing --------------------------------------------------------------------------------------------

    def _heal_after(self, op: Op) -> None:
        pace = self.universe.pace
        if isinstance(op, Abort):
            self.heal_soon(pace.heal_after_abort)
        elif isinstance(op, Create):
            self.heal_soon(pace.initialize)
        elif isinstance(op, SetReplica | Finish) or getattr(op, "placement", None):
            self.heal_soon(pace.heal)

    def heal_soon(self, after: float) -> None:
        """Look at the own replicas a little later."""
        if not self._healing:
            self._healing = True
            self.universe.timeline.after(after, self._heal)

    def _heal(self) -> None:
        self._healing = False
        if not self.running or self.disk.removed or self.disk.behind or self.leader is None:
            return
        for name, shard, peer in sorted(self.shunned):
            self.quietly(SetReplica(name, shard, peer, DEAD))
        for collection in self.disk.state.collections.values():
            for number, state in self._mine(collection).items():
                if state == INITIALIZING:
                    self.quietly(SetReplica(collection.name, number, self.id, ACTIVE))
            self._recover_one(collection)

    def _recover_one(self, collection: Collection) -> None:
        """Bring the first Dead replica back from an Active one: one at a time for each collection."""
        if any(move.target == self.id for move in collection.moves):
            return
        for number, state in self._mine(collection).items():
            source = self._source(collection, number) if state == DEAD else None
            if source is not None:
                move = Move(number, source, self.id, keep_source=True, method="wal_delta")
                self.quietly(Start(collection.name, move))
                return

    def _source(self, collection: Collection, number: int) -> int | None:
        for peer in collection.shards[number].active():
            found = self.reach(peer)
            local = found.disk.locals.get((collection.name, number)) if found is not None else None
            if local is not None and not local.dummy:
                return peer
        return None

    # -- readiness ------------------------------------------------------------------------------------------

    def look_ready(self) -> bool:
        """`/readyz` at its first look starts watching; once ready, always ready."""
        if not self.ready:
            now = self.universe.timeline.now
            if self._looked is None:
                self._looked = now
            watched = not self.joined or now - self._looked >= self.universe.pace.ready
            self.ready = watched and self._is_sound()
        return self.ready

    def _is_sound(self) -> bool:
        if self.disk.removed or self.disk.behind:
            return False
        known = not self.joined or len(self.disk.state.peers) > 1
        mine = [state for c in self.disk.state.collections.values() for state in self._mine(c).values()]
        leader = self.group.leader()
        reached = leader is not None and self.universe.linked(leader, self)
        caught_up = not reached or self.disk.applied >= len(self.group.log)
        return known and caught_up and all(state in HEALTHY for state in mine)
