"""Exponential back-off: how long to wait before the next attempt after a number of failures.

Pure: the caller counts the failures and draws the jitter.
"""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 32
"""Bounds the power of two, so that a count of failures that only grows never overflows a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with each failure, from `first` to `longest`."""

    first: float
    """Seconds after the first failure."""
    longest: float
    """Seconds that no pause exceeds, unless jitter or the failed call itself asks for more."""

    def pause(self, failures: int, *, jitter: float = 1.0, at_least: float = 0.0) -> float:
        """Seconds to wait after this many failures in a row; before the first one there is no pause.

        Args:
            failures: failures in a row, this one included.
            jitter: factor around 1 that the caller draws, so that many callers do not retry at the same moment.
            at_least: seconds that the failed call asks for, for example in a Retry-After header.
        """
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        growing = min(self.first * 2**doublings, self.longest) if failures > 0 else 0.0
        return max(at_least, growing) * jitter
