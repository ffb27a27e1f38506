"""Time as a heap of due events: the simulator has no clock and no timers of its own.

A driver moves time forward with `advance`: asyncio with the real clock (see `host`), or a test with a virtual
one. Peers that have nothing to do cost nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count


class Timeline:
    """Now, in seconds since `epoch`, and what is due later."""

    def __init__(self, epoch: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """`epoch` is the wall clock at second 0: names of snapshots carry it."""
        self.now = 0.0
        self._epoch = epoch
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._stamp = (-1.0, "")

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` that many seconds from now; events of one moment run in the order they were put."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._order), action))

    def next_due(self) -> float | None:
        """When something is due next."""
        return self._heap[0][0] if self._heap else None

    def advance(self, to: float) -> None:
        """Move time forward and run what has become due, in order."""
        while self._heap and self._heap[0][0] <= to:
            due, _, action = heapq.heappop(self._heap)
            self.now = max(self.now, due)
            action()
        self.now = max(self.now, to)

    def wall(self) -> datetime:
        """The wall clock's time now."""
        return self._epoch + timedelta(seconds=self.now)

    def stamp(self) -> str:
        """The wall clock's time now, as in Qdrant's answers."""
        if self._stamp[0] != self.now:
            self._stamp = (self.now, self.wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        return self._stamp[1]
