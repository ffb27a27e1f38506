"""The loop against a clock: what the planner starts now runs, and whenever a transfer ends it is asked again.

Unlike the whole plan this respects the budget, so it shows how long everything takes. Time is counted in bytes.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

from bench.placement.moves import Transfer
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.placement.model import Layout, Policy, Replica, RunningTransfer, Shard
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.placement.steps import DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that was copied, and when the last copy was there."""

    moved: tuple[Transfer, ...]
    makespan: int
    end: Layout


def run(layout: Layout, policy: Policy) -> Schedule:
    """From the layout to the settled placement; the planner is asked whenever a transfer has ended.

    Raises:
        ValueError: the planner asks for something that this little world does not know.
    """
    world = _World(layout)
    while True:
        steps = plan_placement(world.layout(), policy).steps
        for step in steps:
            world.take(step)
        if not world.running and not steps:
            return Schedule(tuple(world.moved), world.now, world.layout())
        world.wait()


class _World:
    """Shards, and transfers on their way."""

    def __init__(self, layout: Layout) -> None:
        self._begin = layout
        self._shards: dict[ShardRef, Shard] = {shard.ref: shard for shard in layout.shards}
        self.running: list[tuple[int, int, RunningTransfer]] = []
        self.moved: list[Transfer] = []
        self.now = 0

    def layout(self) -> Layout:
        """As all peers would tell it."""
        transfers = tuple(one for _, _, one in sorted(self.running, key=lambda item: item[1]))
        return replace(self._begin, shards=tuple(self._shards.values()), transfers=transfers)

    def take(self, step: Step) -> None:
        """Begin a transfer, or drop at once."""
        match step:
            case MoveShard() | ReplicateShard():
                self._copy(step)
            case DropReplica():
                self._put(step.shard, step.peer, None)
            case _:
                raise ValueError(f"not expected here: {step}")

    def wait(self) -> None:
        """Until the next transfer ends, if any runs."""
        if not self.running:
            return
        self.now, _, done = heapq.heappop(self.running)
        self._put(done.ref, done.target, Replica(done.target, ReplicaState.ACTIVE, sound=True))
        if not done.keeps_source:
            self._put(done.ref, done.source, None)

    def _copy(self, step: MoveShard | ReplicateShard) -> None:
        collection, shard = step.shard
        keeps = isinstance(step, ReplicateShard)
        one = RunningTransfer(collection, shard, step.source, step.target, keeps_source=keeps)
        heapq.heappush(self.running, (self.now + step.bytes, len(self.moved), one))
        self.moved.append(Transfer(step.shard, step.source, step.target, step.bytes))
        self._put(step.shard, step.target, Replica(step.target, ReplicaState.RECOVERY, sound=False))

    def _put(self, ref: ShardRef, peer: PeerId, replica: Replica | None) -> None:
        shard = self._shards[ref]
        others = [one for one in shard.replicas if one.peer != peer]
        kept = sorted([*others, *([replica] if replica else [])], key=lambda one: one.peer)
        self._shards[ref] = replace(shard, replicas=tuple(kept))
