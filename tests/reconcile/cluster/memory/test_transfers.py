"""A transfer that came to nothing is not begun again at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.domain.placement.steps import ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Transfer, View
from qdrant_operator.reconcile.cluster.memory.transfers import PAUSES, STALE_AFTER, TransferMemory
from tests.domain.clusters import collection, view

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
A, C = PeerId(100), PeerId(102)
REF = ("docs", ShardId(0))
FIRST_PAUSE = timedelta(seconds=PAUSES.first)
STEP = ReplicateShard(REF, A, C, "snapshot", ("vectors-0", "vectors-2"), 1, "test")


def views(state: ReplicaState | None, *, listed: bool = False) -> Mapping[str, View]:
    """What three peers say of docs/0 on the target."""
    holders = (0,) if state is None else (0, 2)
    states = {} if state is None else {(0, 2): state}
    told = collection(0, {0: holders}, states=states)
    running = (Transfer(ShardId(0), A, C, "snapshot"),) if listed else ()
    return {f"vectors-{n}": view(n, collections=(replace(told, transfers=running),)) for n in range(3)}


def test_a_target_waits_after_each_failure_twice_as_long() -> None:
    """Gone without a replica: 5 s, then 10 s; between them it may be tried again."""
    memory = TransferMemory()
    memory.begun(STEP)
    assert memory.waits(views(ReplicaState.PARTIAL, listed=True), NOW) == frozenset()
    assert memory.waits(views(None), NOW) == {(REF, C)}
    after = NOW + FIRST_PAUSE
    assert memory.waits(views(None), after) == frozenset()
    memory.begun(STEP)
    assert memory.waits(views(ReplicaState.DEAD), after) == {(REF, C)}
    assert memory.waits(views(ReplicaState.DEAD), after + FIRST_PAUSE) == {(REF, C)}
    assert memory.waits(views(ReplicaState.DEAD), after + 2 * FIRST_PAUSE) == frozenset()


def test_a_transfer_that_ended_well_is_forgotten() -> None:
    """Active in every view: the next failure counts from one."""
    memory = TransferMemory()
    for _ in range(3):
        memory.begun(STEP)
        assert memory.waits(views(ReplicaState.ACTIVE), NOW) == frozenset()
    memory.begun(STEP)
    assert memory.waits(views(None), NOW) == {(REF, C)}
    assert memory.waits(views(None), NOW + FIRST_PAUSE) == frozenset()


def test_silence_is_no_failure() -> None:
    """No peer answers: nothing is known of the transfer."""
    memory = TransferMemory()
    memory.begun(STEP)
    assert memory.waits({}, NOW + timedelta(hours=1)) == frozenset()


def test_a_replica_that_stays_dead_is_stale_after_two_minutes() -> None:
    """Its peer answers and copies nothing: no peer recovers it. Active again, it is forgotten."""
    memory = TransferMemory()
    assert memory.stale(views(ReplicaState.DEAD), NOW) == frozenset()
    assert memory.stale(views(ReplicaState.DEAD), NOW + STALE_AFTER / 2) == frozenset()
    assert memory.stale(views(ReplicaState.DEAD), NOW + STALE_AFTER) == {(REF, C)}
    assert memory.stale(views(ReplicaState.ACTIVE), NOW + STALE_AFTER) == frozenset()
    assert memory.stale(views(ReplicaState.DEAD), NOW + STALE_AFTER) == frozenset()


def test_a_peer_that_copies_something_is_given_more_time() -> None:
    """Qdrant heals one replica after another: while a transfer runs the next one's turn may still come."""
    memory = TransferMemory()
    memory.stale(views(ReplicaState.DEAD), NOW)
    assert memory.stale(views(ReplicaState.DEAD, listed=True), NOW + STALE_AFTER) == frozenset()
    assert memory.stale(views(ReplicaState.DEAD), NOW + 1.5 * STALE_AFTER) == frozenset()
    assert memory.stale(views(ReplicaState.DEAD), NOW + 2.5 * STALE_AFTER) == {(REF, C)}


def test_a_silent_peers_dead_replica_is_not_stale() -> None:
    """Only the peer itself can say that it does nothing about it."""
    memory = TransferMemory()
    alone = {name: one for name, one in views(ReplicaState.DEAD).items() if name != "vectors-2"}
    memory.stale(alone, NOW)
    assert memory.stale(alone, NOW + 2 * STALE_AFTER) == frozenset()
