"""After a change that was asked of consensus the leader is listened to for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qdrant_operator.domain.cluster.steps import MarkCluster, RemovePeer, Step, TakeOutOfService
from qdrant_operator.domain.placement.steps import DropReplica
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ShardId
from qdrant_operator.reconcile.cluster.memory.changes import SPREADS_WITHIN, ChangeMemory

NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
REF: ShardRef = ("docs", ShardId(0))
DROP = DropReplica(REF, PeerId(100), "vectors-0", "test")
REMOVE = RemovePeer(PeerId(102), "vectors-2", force=False, why="test")


def idle(now: datetime) -> ChangeMemory:
    """One to which nothing is new any more."""
    memory = ChangeMemory()
    memory.just_changed(now - SPREADS_WITHIN)
    assert not memory.just_changed(now)
    return memory


@pytest.mark.parametrize("step", [DROP, REMOVE], ids=["of shards", "of members"])
def test_a_change_counts_as_new_for_ten_seconds(step: Step) -> None:
    """From the first observation after it was sent, however long the answer took."""
    memory = idle(NOW)
    memory.asked(step)
    assert memory.just_changed(NOW + SPREADS_WITHIN)
    assert memory.just_changed(NOW + 2 * SPREADS_WITHIN - MOMENT)
    assert not memory.just_changed(NOW + 2 * SPREADS_WITHIN)


def test_what_consensus_is_not_asked_for_changes_nothing() -> None:
    """Labels of pods are Kubernetes' own."""
    memory = idle(NOW)
    memory.asked(TakeOutOfService("vectors-2", "test"))
    memory.asked(MarkCluster("vectors-2"))
    assert not memory.just_changed(NOW)


def test_a_new_operator_does_not_know_what_the_old_one_asked() -> None:
    """Its first looks are like those after a step of its own."""
    memory = ChangeMemory()
    assert memory.just_changed(NOW)
    assert memory.just_changed(NOW + SPREADS_WITHIN - MOMENT)
    assert not memory.just_changed(NOW + SPREADS_WITHIN)
