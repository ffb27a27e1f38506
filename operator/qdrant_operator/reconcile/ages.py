"""For how long something has been so, look after look, by our own clock."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class AgeTracker(Generic[K]):
    """Things that were there at the last look, and since when."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._since: dict[K, datetime] = {}

    def ages(self, there: Iterable[K], now: datetime) -> dict[K, timedelta]:
        """How long each of these has been there at every look; what a look misses begins anew."""
        self._since = {one: self._since.get(one, now) for one in there}
        return {one: now - since for one, since in self._since.items()}

    def forget(self) -> None:
        """Begin anew with everything."""
        self._since.clear()
