"""Improve the order of a few transfers by local search, so that the last one ends early.

Pure. The order is a list schedule: whenever a transfer ends, the first in the list that fits starts. Pairs in the
list are exchanged while the schedule gets shorter. This is for few transfers only: with many, the order by bytes left
is within a few percent of the least that is possible; of a dozen, one that runs alone at the end is a tenth of the
whole. Time is counted in bytes.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

SWEEPS = 4
"""How often every pair is exchanged at most, while that helps."""
NEVER = (1 << 200, 0)
"""The end of a list in which a transfer never starts."""


@dataclass(frozen=True, slots=True)
class PlannedTransfer:
    """One transfer of a shard; a shard's transfers run one after another."""

    shard: ShardRef
    after: int
    """Transfers of the shard that have to end before."""
    source: PeerId | None
    """None: several are possible, and none of them is a bottleneck."""
    target: PeerId
    size: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Transfers that run already, and how many may run at a time."""

    running: Sequence[PlannedTransfer]
    per_cluster: int
    per_peer: int


def improve_order(transfers: Sequence[PlannedTransfer], limits: Limits) -> list[PlannedTransfer]:
    """The transfers in the order in which they start; they end no later than in the given order."""
    best, end = list(transfers), _ListSchedule(limits).end(transfers)
    for _ in range(SWEEPS):
        before = end
        for first, second in combinations(range(len(best)), 2):
            order = list(best)
            order[first], order[second] = order[second], order[first]
            new_end = _ListSchedule(limits).end(order)
            if new_end < end:
                best, end = order, new_end
        if end == before:
            break
    schedule = _ListSchedule(limits)
    schedule.end(best)
    return schedule.started


class _ListSchedule:
    """One simulated run: whenever a transfer ends, the first in the order that fits starts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._busy: Counter[object] = Counter()
        self._done: Counter[ShardRef] = Counter()
        self._running: list[tuple[int, int, PlannedTransfer]] = []
        self._number = 0
        self.started: list[PlannedTransfer] = []
        """In the order of their start, without those that ran already."""
        for transfer in limits.running:
            self._start(transfer, 0)
        self.started.clear()

    def end(self, order: Sequence[PlannedTransfer]) -> tuple[int, int]:
        """When the last transfer ends, and the sum of all ends, which distinguishes schedules of equal length."""
        waiting, last, total = self._start_all(order, 0), 0, 0
        while self._running:
            last, _, transfer = heapq.heappop(self._running)
            total += last
            self._done[transfer.shard] += 1
            self._busy.subtract(_resources(transfer))
            waiting = self._start_all(waiting, last)
        return NEVER if waiting else (last, total)

    def _start_all(self, waiting: Sequence[PlannedTransfer], now: int) -> list[PlannedTransfer]:
        """Start every transfer that may start; the others still wait."""
        left = []
        for transfer in waiting:
            if self._may_start(transfer):
                self._start(transfer, now)
            else:
                left.append(transfer)
        return left

    def _may_start(self, transfer: PlannedTransfer) -> bool:
        if len(self._running) >= self._limits.per_cluster or self._done[transfer.shard] < transfer.after:
            return False
        peers = _resources(transfer)[1:]
        return not self._busy[transfer.shard] and all(
            self._busy[peer] < self._limits.per_peer for peer in peers
        )

    def _start(self, transfer: PlannedTransfer, now: int) -> None:
        self._number += 1
        self._busy.update(_resources(transfer))
        heapq.heappush(self._running, (now + transfer.size, self._number, transfer))
        self.started.append(transfer)


def _resources(transfer: PlannedTransfer) -> tuple[object, ...]:
    """What the transfer occupies: its shard, its target's side for receiving, its source's for sending."""
    source = () if transfer.source is None else (("out", transfer.source),)
    return (transfer.shard, ("in", transfer.target), *source)
