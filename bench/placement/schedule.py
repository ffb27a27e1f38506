"""The loop in simulated time: the planned transfers start, and whenever one ends the planner plans again.

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
    """Everything that was copied, and when the last transfer ended."""

    moved: tuple[Transfer, ...]
    makespan: int
    end: Layout


def run(layout: Layout, policy: Policy) -> Schedule:
    """From the layout to the settled placement; the planner plans again whenever a transfer has ended.

    Raises:
        ValueError: the planner returns a step that this simulation does not know.
    """
    simulation = _Simulation(layout)
    while True:
        steps = plan_placement(simulation.layout(), policy).steps
        for step in steps:
            simulation.apply(step)
        if not simulation.running and not steps:
            return Schedule(tuple(simulation.moved), simulation.now, simulation.layout())
        simulation.wait()


class _Simulation:
    """Shards, running transfers and a clock."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._shards: dict[ShardRef, Shard] = {shard.ref: shard for shard in layout.shards}
        self.running: list[tuple[int, int, RunningTransfer]] = []
        self.moved: list[Transfer] = []
        self.now = 0

    def layout(self) -> Layout:
        """As all peers would report it."""
        transfers = tuple(transfer for _, _, transfer in sorted(self.running, key=lambda item: item[1]))
        return replace(self._layout, shards=tuple(self._shards.values()), transfers=transfers)

    def apply(self, step: Step) -> None:
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
        transfer = RunningTransfer(collection, shard, step.source, step.target, keeps_source=keeps)
        heapq.heappush(self.running, (self.now + step.bytes, len(self.moved), transfer))
        self.moved.append(Transfer(step.shard, step.source, step.target, step.bytes))
        self._put(step.shard, step.target, Replica(step.target, ReplicaState.RECOVERY, sound=False))

    def _put(self, ref: ShardRef, peer: PeerId, replica: Replica | None) -> None:
        shard = self._shards[ref]
        replicas = [held for held in shard.replicas if held.peer != peer]
        if replica is not None:
            replicas.append(replica)
        replicas.sort(key=lambda held: held.peer)
        self._shards[ref] = replace(shard, replicas=tuple(replicas))
