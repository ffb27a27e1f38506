"""Small words of sentences that users read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5
"""Things that a sentence names before it counts the rest."""


def counted(count: int, noun: str) -> str:
    """A number of things: `1 peer`, `2 peers`, `0 peers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def named(things: Sequence[str], at_most: int = NAMED) -> str:
    """Things by their names, and how many more there are: `a, b and 7 more`."""
    rest = len(things) - at_most
    return ", ".join(things[:at_most]) + (f" and {rest} more" if rest > 0 else "")
