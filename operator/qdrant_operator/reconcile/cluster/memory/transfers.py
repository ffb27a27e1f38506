"""Remembers which transfers were begun and since when replicas are dead, which one observation cannot show.

A transfer that failed is not retried at once; a dead replica that no peer recovers is replaced. In memory only: after a
restart of the operator at worst one retry is too early, or one replacement too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.common.timing.backoff import Backoff
from qdrant_operator.domain.placement.steps import MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.soundness import ShardRef, answering
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, ReplicaState, View
from qdrant_operator.reconcile.ages import AgeTracker

PAUSES = Backoff(first=5.0, longest=300.0)
"""Before the same shard goes to the same peer again."""

STALE_AFTER = timedelta(minutes=2)
"""A peer asks for the recovery of its dead replicas within seconds, again and again (Qdrant 1.19,
`request_shard_transfer`): one that is dead for this long while its peer answers and copies nothing is a leftover of an
aborted transfer, which no peer recovers."""

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
        self._dead: AgeTracker[Target] = AgeTracker()

    def stale(self, views: Mapping[str, View], now: datetime) -> frozenset[Target]:
        """Replicas that have long been dead on peers that answer; a peer that copies anything resets their age."""
        dead = {target for view in answering(views.values()) for target in _dead_on(view)}
        return frozenset(target for target, age in self._dead.ages(dead, now).items() if age >= STALE_AFTER)

    def begun(self, step: Step) -> None:
        """A transfer was requested and accepted."""
        if isinstance(step, ReplicateShard | MoveShard):
            self._tries.setdefault((step.shard, step.target), _Try()).running = True

    def waits(self, views: Mapping[str, View], now: datetime) -> frozenset[Target]:
        """Targets that must not be retried yet, by the present views of the peers."""
        for target in list(self._tries):
            self._judge(target, views, now)
        return frozenset(
            target for target, attempt in self._tries.items() if attempt.until and attempt.until > now
        )

    def _judge(self, target: Target, views: Mapping[str, View], now: datetime) -> None:
        attempt = self._tries[target]
        listed, states = _reported(target, views)
        if listed or (not states and not any(answering(views.values()))):
            return
        if states == {ReplicaState.ACTIVE}:
            del self._tries[target]
        elif attempt.running and not states - {ReplicaState.DEAD}:
            attempt.running, attempt.failures = False, attempt.failures + 1
            attempt.until = now + timedelta(seconds=PAUSES.pause(attempt.failures))


def _reported(target: Target, views: Mapping[str, View]) -> tuple[bool, set[ReplicaState]]:
    """Whether any view lists a transfer to the target, and the states that views give its replica."""
    (name, number), peer = target
    found = [c for view in answering(views.values()) for c in view.collections if c.name == name]
    listed = any(t.shard == number and t.target == peer for c in found for t in c.transfers)
    shards = (s for c in found for s in c.shards if s.shard == number and peer in s.states)
    return listed, {shard.states[peer] for shard in shards}


def _dead_on(view: PeerView) -> list[Target]:
    """A peer's own replicas that it reports as dead, unless it takes part in a transfer."""
    if any(view.peer in (t.source, t.target) for c in view.collections for t in c.transfers):
        return []
    return [
        ((collection.name, shard.shard), view.peer)
        for collection in view.collections
        for shard in collection.shards
        if shard.states.get(view.peer) is ReplicaState.DEAD
    ]
