"""Shard transfers as their source drives them, and the short time after one in which writes still find the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.raft import Group
from sandbox.qdrant_sim.core.consensus.shard_ops import Abort, Finish, Start
from sandbox.qdrant_sim.core.consensus.state import Move
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.disk import Disk, Local
from sandbox.qdrant_sim.core.pace import Pace

GRACE = 1.0
"""How long after a transfer the source passes on what callers send it, in seconds."""
SYNC_SECONDS = 10.0
"""How long a transfer waits at most for peers that hear late (CONSENSUS_META_OP_WAIT): until then nothing that they
write is missing on the target. Qdrant waits before it ends the transfer; here the source passes on a while longer.
"""


@dataclass(frozen=True, slots=True)
class Passing:
    """A target to which its source passes on what it gets."""

    target: int
    until: float = inf
    """Time of the last write that is passed on in any case; infinite: the copy is under way."""
    entry: int = 0
    """Consensus entries up to and with the end of the transfer: who has applied fewer does not know of it."""


class Timing(Protocol):
    """Time, and how long things take."""

    timeline: Timeline
    pace: Pace


class Source(Protocol):
    """The process that drives transfers from its shards."""

    running: bool

    @property
    def id(self) -> int:
        """Its peer id."""

    @property
    def disk(self) -> Disk:
        """Its volume."""

    @property
    def group(self) -> Group[Any]:
        """Its cluster."""

    @property
    def universe(self) -> Timing:
        """Time."""

    def reach(self, peer_id: int) -> Source | None:
        """The running process of another peer that it can talk to."""

    def quietly(self, op: Op) -> None:
        """Propose an operation without waiting for it."""


class Transfers:
    """The transfers in which one peer is the source."""

    def __init__(self, peer: Source) -> None:
        """None are running."""
        self._peer = peer
        self._passing: dict[tuple[str, int], Passing] = {}

    def after(self, op: Op) -> None:
        """Consensus has started or ended a transfer."""
        if isinstance(op, Start) and op.move.source == self._peer.id and self._peer.running:
            self._begin(op.name, op.move)
        elif isinstance(op, Start) and op.move.target == self._peer.id and op.move.method == "snapshot":
            self._clear(op.name, op.move.shard)
        elif isinstance(op, Finish) and op.move.source == self._peer.id:
            until = self._peer.universe.timeline.now + GRACE
            self._passing[op.name, op.move.shard] = Passing(op.move.target, until, self._peer.disk.applied)

    def cancel_own(self) -> None:
        """After a restart: transfers with this peer at one end are over."""
        for collection in self._peer.disk.state.collections.values():
            for move in collection.moves:
                if move.touches(self._peer.id):
                    self._peer.quietly(Abort(collection.name, move))

    def passed_to(self, name: str, shard: int) -> int | None:
        """Who must also get what is written to this peer's shard: the target, from its copy to a while after."""
        passing = self._passing.get((name, shard))
        if passing is None or (passing.until == inf and passing.target not in self._targets(name, shard)):
            return None
        late = any(peer.disk.applied < passing.entry for peer in self._peer.group.live.values())
        until = passing.until + (SYNC_SECONDS if late else 0.0)
        return passing.target if until >= self._peer.universe.timeline.now else None

    def _targets(self, name: str, shard: int) -> list[int]:
        collection = self._peer.disk.state.collections.get(name)
        moves = collection.moves if collection is not None else []
        return [move.target for move in moves if (move.shard, move.source) == (shard, self._peer.id)]

    def _clear(self, name: str, shard: int) -> None:
        """Whatever the target held is gone before the snapshot comes."""
        local = self._peer.disk.locals[name, shard]
        self._peer.disk.locals[name, shard] = Local(local.uuid)

    def _begin(self, name: str, move: Move) -> None:
        local = self._peer.disk.locals.get((name, move.shard))
        pace = self._peer.universe.pace
        seconds = pace.transfer + (len(local.points) if local else 0) * pace.transfer_point
        self._peer.universe.timeline.after(seconds, lambda: self._end(name, move))

    def _end(self, name: str, move: Move) -> None:
        """Copy, and say so; a source that is gone leaves the transfer lingering."""
        collection = self._peer.disk.state.collections.get(name)
        if not self._peer.running or collection is None or move not in collection.moves:
            return
        target = self._peer.reach(move.target)
        local = self._peer.disk.locals.get((name, move.shard))
        if target is not None and not _expects(target, name, move):
            self._peer.universe.timeline.after(self._peer.universe.pace.heal, lambda: self._end(name, move))
        elif target is None or local is None or local.dummy:
            self._peer.quietly(Abort(name, move))
        else:
            target.disk.locals[name, move.shard] = Local(local.uuid, dict(local.points))
            self._passing[name, move.shard] = Passing(move.target)
            self._peer.quietly(Finish(name, move))


def _expects(target: Source, name: str, move: Move) -> bool:
    """Whether the target knows of the transfer: one that has just started may be behind."""
    collection = target.disk.state.collections.get(name)
    return collection is not None and move in collection.moves
