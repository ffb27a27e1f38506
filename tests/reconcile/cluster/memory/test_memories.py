"""What is remembered of a cluster ends with it, also when its deletion was not seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qdrant_operator.reconcile.cluster.memory.remembered import KEPT, Memories
from qdrant_operator.reconcile.in_flight import InFlightCreations

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_memory_lasts_while_its_cluster_has_passes() -> None:
    """Passes every two minutes, for a day: it is the same memory all the time."""
    memories = Memories()
    first = memories.of("a", START)
    for minute in range(0, 24 * 60, 2):
        assert memories.of("a", START + timedelta(minutes=minute)) is first


def test_memories_of_clusters_that_vanished_end() -> None:
    """A thousand clusters that come and go leave nothing behind, though no pass saw one of them being deleted."""
    memories = Memories()
    for number in range(1000):
        memories.of(f"uid-{number}", START + KEPT * number)
    assert len(memories) == 1


def test_a_cluster_that_is_being_deleted_is_forgotten_at_once() -> None:
    """Its pass says so."""
    memories = Memories()
    memories.of("a", START)
    memories.forget("a")
    assert len(memories) == 0


def test_creations_leave_nothing_behind() -> None:
    """Counters of clusters end with the last call."""
    creations = InFlightCreations()
    with creations.track("here", "vectors"):
        assert creations.any_for("here", "vectors")
    assert not creations.any_for("here", "vectors")
    assert vars(creations)["_calls"] == {}
