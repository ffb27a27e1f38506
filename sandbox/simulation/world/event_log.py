"""What happened in a simulation, with the virtual second of each event."""

from __future__ import annotations

from sandbox.simulation.world.clock import VirtualClock


class EventLog:
    """Lines for whoever reads a failing seed."""

    def __init__(self, clock: VirtualClock) -> None:
        """The log is empty."""
        self._clock = clock
        self.lines: list[str] = []

    def add(self, event: str) -> None:
        """Add a line with the time of now."""
        self.lines.append(f"{self._clock.seconds():8.2f} {event}")
