"""Laws that were broken, in the order in which it was noticed."""

from __future__ import annotations

from sandbox.simulation.world.event_log import EventLog


class Violations:
    """Collects them; a simulation ends at the first."""

    def __init__(self, log: EventLog) -> None:
        """No law is broken."""
        self._log = log
        self.found: list[str] = []

    def add(self, violation: str) -> None:
        """A law is broken."""
        self._log.add(f"BROKEN: {violation}")
        self.found.append(violation)
