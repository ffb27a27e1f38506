"""A memory whose entries end by themselves."""

from __future__ import annotations

from qdrant_operator.domain.common.timing.expiring import Expiring


def test_an_entry_ends_after_its_time() -> None:
    """It is there just before, and gone at that moment; writing it again begins its time again."""
    memory: Expiring[str, int] = Expiring(30.0)
    memory.put("a", 1, 0.0)
    assert memory.get("a", 29.9) == 1
    assert memory.get("a", 30.0) is None
    memory.put("a", 2, 20.0)
    assert memory.get("a", 49.9) == 2


def test_expired_entries_leave_memory_with_the_next_write() -> None:
    """An entry that is not read again does not stay, for example the content of a Secret."""
    memory: Expiring[str, int] = Expiring(30.0)
    memory.put("a", 1, 0.0)
    memory.put("b", 2, 30.0)
    assert len(memory) == 1


def test_an_entry_can_be_dropped() -> None:
    """Also one that is not there."""
    memory: Expiring[str, int] = Expiring(30.0)
    memory.put("a", 1, 0.0)
    memory.drop("a")
    memory.drop("a")
    assert memory.get("a", 0.0) is None
