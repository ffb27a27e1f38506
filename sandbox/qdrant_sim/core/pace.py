"""How long things take in the simulated Qdrant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds; measured on a real cluster with tiny data."""

    start: float = 0.3
    restart: float = 0.1
    commit: float = 0.04
    apply: tuple[float, float] = (0.002, 0.02)
    contact: float = 0.15
    election: tuple[float, float] = (2.2, 2.8)
    snapshot: float = 0.4
    promote: float = 0.3
    initialize: float = 0.05
    heal: float = 0.3
    heal_after_abort: float = 4.0
    transfer: float = 0.5
    transfer_point: float = 0.00005
    ready: float = 0.5
    refused: float = 0.4
    """Until a call to a dead peer has failed."""
    unanswered: float = 9.4
    """Until a call to a peer that accepts connections but does not answer has failed."""
    index: float = 0.12
    """Until an index of an empty field is built."""
