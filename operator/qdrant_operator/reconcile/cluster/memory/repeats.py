"""Remembers the steps of the last pass: a step without effect is not repeated without a pause.

If anything undoes it, for example a webhook that restores a pod's label, the loop must not become a flood of writes.
"""

from __future__ import annotations

from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.common.timing.backoff import Backoff

FREE = 3
"""How often the same step is sent in a row without a pause: caches and views of peers lag by an observation or two."""
PAUSES = Backoff(first=1.0, longest=10.0)
"""Before a step that is sent more often."""


class RepeatMemory:
    """Steps of one cluster's last pass, and in how many passes in a row they were the same."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._last: tuple[Step, ...] = ()
        self._times = 0

    def done(self, steps: tuple[Step, ...]) -> None:
        """A pass ended; these were its steps."""
        self._times = self._times + 1 if steps == self._last else 1
        self._last = steps

    @property
    def pause(self) -> float:
        """Seconds to wait before the next pass."""
        return PAUSES.pause(self._times - FREE + 1)
