"""Remembers which transfers were begun, so that one which came to nothing is not begun again at once.

In memory only: after a restart of the operator the worst that happens is one try too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.domain.soundness import ShardRef, answering
from qdrant_operator.domain.steps import MoveShard, ReplicateShard, Step
from qdrant_operator.domain.values import PeerId, ReplicaState, View

FIRST_PAUSE = timedelta(seconds=5)
LAST_PAUSE = timedelta(minutes=5)
"""Pauses before the same shard goes to the same peer again: doubled from the first to the last."""

Target = tuple[ShardRef, PeerId]


@dataclass(slots=True)
class _Try:
    failures: int = 0
    running: bool = True
    until: datetime | None = None


class TransferMemory:
    """Begun transfers of one cluster."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._tries: dict[Target, _Try] = {}

    def begun(self, step: Step) -> None:
        """A transfer was asked for and accepted."""
        if isinstance(step, ReplicateShard | MoveShard):
            self._tries.setdefault((step.shard, step.target), _Try()).running = True

    def waits(self, views: Mapping[str, View], now: datetime) -> frozenset[Target]:
        """Targets that shall not be tried again yet, by what the peers say now."""
        for target in list(self._tries):
            self._judge(target, views, now)
        return frozenset(t for t, one in self._tries.items() if one.until and one.until > now)

    def _judge(self, target: Target, views: Mapping[str, View], now: datetime) -> None:
        one = self._tries[target]
        listed, states = _told(target, views)
        if listed or (not states and not any(answering(views.values()))):
            return
        if states == {ReplicaState.ACTIVE}:
            del self._tries[target]
        elif one.running and not states - {ReplicaState.DEAD}:
            one.running, one.failures = False, one.failures + 1
            one.until = now + min(FIRST_PAUSE * 2 ** (one.failures - 1), LAST_PAUSE)


def _told(target: Target, views: Mapping[str, View]) -> tuple[bool, set[ReplicaState]]:
    """Whether any view lists a transfer to the target, and the states that views give its replica."""
    (name, number), peer = target
    found = [c for view in answering(views.values()) for c in view.collections if c.name == name]
    listed = any(t.shard == number and t.target == peer for c in found for t in c.transfers)
    shards = (s for c in found for s in c.shards if s.shard == number and peer in s.states)
    return listed, {shard.states[peer] for shard in shards}
