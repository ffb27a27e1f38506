"""For how long a condition has held in every observation, by the operator's clock."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class AgeTracker(Generic[K]):
    """Things that were there at the last observation, and since when."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._since: dict[K, datetime] = {}

    def ages(self, there: Iterable[K], now: datetime) -> dict[K, timedelta]:
        """How long each of these has been there at every observation; what one observation misses starts again."""
        self._since = {key: self._since.get(key, now) for key in there}
        return {key: now - since for key, since in self._since.items()}

    def forget(self) -> None:
        """Start all ages again."""
        self._since.clear()
