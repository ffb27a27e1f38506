"""Remembers which transfers were begun and since when replicas are dead: what one look cannot show.

A transfer that came to nothing is not begun again at once; a dead replica that nobody heals is replaced. In
memory only: after a restart of the operator the worst that happens is one try too early, or one healing too late.
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
`request_shard_transfer`): one that is dead for so long while its peer answers and copies nothing is a leftover of an
aborted transfer, which nobody heals."""

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
        """Replicas that are dead for long on peers that answer; a peer that copies anything begins anew."""
        dead = {target for view in answering(views.values()) for target in _dead_on(view)}
        return frozenset(target for target, age in self._dead.ages(dead, now).items() if age >= STALE_AFTER)

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
            one.until = now + timedelta(seconds=PAUSES.pause(one.failures))


def _told(target: Target, views: Mapping[str, View]) -> tuple[bool, set[ReplicaState]]:
    """Whether any view lists a transfer to the target, and the states that views give its replica."""
    (name, number), peer = target
    found = [c for view in answering(views.values()) for c in view.collections if c.name == name]
    listed = any(t.shard == number and t.target == peer for c in found for t in c.transfers)
    shards = (s for c in found for s in c.shards if s.shard == number and peer in s.states)
    return listed, {shard.states[peer] for shard in shards}


def _dead_on(view: PeerView) -> list[Target]:
    """A peer's own replicas that it calls dead, unless it takes part in a transfer."""
    if any(view.peer in (t.source, t.target) for c in view.collections for t in c.transfers):
        return []
    return [
        ((collection.name, shard.shard), view.peer)
        for collection in view.collections
        for shard in collection.shards
        if shard.states.get(view.peer) is ReplicaState.DEAD
    ]
