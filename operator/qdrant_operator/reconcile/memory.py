"""What the loop remembers of one cluster from look to look. Losing it costs time, never safety."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qdrant_operator.domain.observed import Observed
from qdrant_operator.domain.steps import Step
from qdrant_operator.reconcile.service_memory import ServiceMemory
from qdrant_operator.reconcile.transfer_memory import Target, TransferMemory


@dataclass(frozen=True, slots=True)
class Remembered:
    """What earlier looks have to say about this one."""

    waits: frozenset[Target] = frozenset()
    """Targets of transfers that shall not be tried again yet."""
    stale: frozenset[Target] = frozenset()
    """Dead replicas that nobody will heal."""
    just_left: frozenset[str] = frozenset()
    """Pods that left the client Service a moment ago."""


class Memory:
    """Transfers that were begun, and pods that left the client Service."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._transfers, self._service = TransferMemory(), ServiceMemory()

    def begun(self, step: Step) -> None:
        """A step was carried out."""
        self._transfers.begun(step)

    def recall(self, observed: Observed, now: datetime) -> Remembered:
        """Take in what is seen now, and say what is remembered."""
        return Remembered(
            self._transfers.waits(observed.views, now),
            self._transfers.stale(observed.views, now),
            self._service.just_left(observed.pods, observed.listed, now),
        )
