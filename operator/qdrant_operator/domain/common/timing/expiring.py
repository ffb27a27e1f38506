"""A memory whose entries end by themselves: each is kept for a time after it was last written.

Pure: the caller says what time it is, in seconds of any one clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Values by key, each for `seconds` after its last `put`."""

    def __init__(self, seconds: float) -> None:
        """Start empty."""
        self._seconds = seconds
        self._entries: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """The value, unless it is unknown or has expired."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._is_kept(entry, now) else None

    def put(self, key: K, value: V, now: float) -> None:
        """Keep the value from now on; entries that have expired are dropped from memory."""
        kept = self._entries.items()
        self._entries = {other: entry for other, entry in kept if self._is_kept(entry, now)}
        self._entries[key] = (now, value)

    def drop(self, key: K) -> None:
        """Forget the value, if there is one."""
        self._entries.pop(key, None)

    def _is_kept(self, entry: tuple[float, V], now: float) -> bool:
        return now - entry[0] < self._seconds
