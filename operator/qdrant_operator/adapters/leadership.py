"""Answers to "may this process write?" for processes without leader election."""

from __future__ import annotations

from collections.abc import Callable

MayAct = Callable[[], bool]
"""Checked before every write: whether this process may write now. With leader election, `LeaderLease.is_holder`."""


def always() -> bool:
    """For a single process without leader election, and for Jobs."""
    return True


def never() -> bool:
    """For commands that only read."""
    return False
