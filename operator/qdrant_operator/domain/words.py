"""Small words of sentences that users read. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number of things: `1 peer`, `2 peers`, `0 peers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
