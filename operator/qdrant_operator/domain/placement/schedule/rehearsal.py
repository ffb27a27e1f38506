"""A few transfers are rehearsed, to find an order in which the last one ends early.

Pure. Only for few: with many the order by what is left to do comes within a few percent of what is possible at all;
of a dozen the one that is alone at the end is a tenth of the whole. Time is counted in bytes.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

SWEEPS = 4
"""Times that every pair is exchanged, while that helps."""
NEVER = (1 << 200, 0)


@dataclass(frozen=True, slots=True)
class Leg:
    """One transfer of a shard; legs of a shard run one after another."""

    shard: ShardRef
    after: int
    """Legs of the shard that have to be done before."""
    source: PeerId | None
    """None: it has several, and none holds it up."""
    target: PeerId
    size: int


@dataclass(frozen=True, slots=True)
class Stage:
    """What legs are rehearsed beside, and how many may run."""

    running: Sequence[Leg]
    per_cluster: int
    per_peer: int


def rehearsed(legs: Sequence[Leg], stage: Stage) -> list[Leg]:
    """The legs as they begin, ending no later than in the given order: every exchange of two that helps is made."""
    best, ends = list(legs), _Rehearsal(stage).ends(legs)
    for _ in range(SWEEPS):
        before = ends
        for first, second in _pairs(len(best)):
            order = list(best)
            order[first], order[second] = order[second], order[first]
            now = _Rehearsal(stage).ends(order)
            if now < ends:
                best, ends = order, now
        if ends == before:
            break
    last = _Rehearsal(stage)
    last.ends(best)
    return last.begun


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((first, second) for first in range(count) for second in range(first + 1, count))


class _Rehearsal:
    """One run on paper: whenever a leg ends, the first in the order that fits begins."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._busy: Counter[object] = Counter()
        self._done: Counter[ShardRef] = Counter()
        self._running: list[tuple[int, int, Leg]] = []
        self._number = 0
        self.begun: list[Leg] = []
        """In the order in which they began; without what ran before."""
        for leg in stage.running:
            self._begin(leg, 0)
        self.begun.clear()

    def ends(self, order: Sequence[Leg]) -> tuple[int, int]:
        """When the last leg ends, and the sum of all ends, to tell orders apart that end alike."""
        waiting, last, total = self._start(order, 0), 0, 0
        while self._running:
            last, _, leg = heapq.heappop(self._running)
            total += last
            self._done[leg.shard] += 1
            self._busy.subtract(_places(leg))
            waiting = self._start(waiting, last)
        return NEVER if waiting else (last, total)

    def _start(self, waiting: Sequence[Leg], now: int) -> list[Leg]:
        """Begin what may begin; what still waits."""
        left = []
        for leg in waiting:
            if self._may_begin(leg):
                self._begin(leg, now)
            else:
                left.append(leg)
        return left

    def _may_begin(self, leg: Leg) -> bool:
        if len(self._running) >= self._stage.per_cluster or self._done[leg.shard] < leg.after:
            return False
        places = _places(leg)[1:]
        return not self._busy[leg.shard] and all(self._busy[one] < self._stage.per_peer for one in places)

    def _begin(self, leg: Leg, now: int) -> None:
        self._number += 1
        self._busy.update(_places(leg))
        heapq.heappush(self._running, (now + leg.size, self._number, leg))
        self.begun.append(leg)


def _places(leg: Leg) -> tuple[object, ...]:
    source = () if leg.source is None else (("out", leg.source),)
    return (leg.shard, ("in", leg.target), *source)
