"""What every operation of consensus is: it knows whether it may be applied, and what it changes.

`check` runs once, on the leader, when the operation is about to be committed; `apply` runs on every peer.
"""

from __future__ import annotations

from typing import Protocol

from sandbox.qdrant_sim.core.api.answers import Fault
from sandbox.qdrant_sim.core.consensus.state import State


class Op(Protocol):
    """One entry of the log."""

    def check(self, state: State) -> None:
        """Raise a Fault when the operation must not be applied."""

    def apply(self, state: State) -> None:
        """Change the state."""


class Halfway(Fault):
    """A refusal after a part was carried out."""

    def __init__(self, fault: Fault, done: Op) -> None:
        """`done`: the part."""
        super().__init__(fault.status, fault.message)
        self.done = done


class Free:
    """An operation that nothing forbids."""

    def check(self, state: State) -> None:
        """Nothing to look at."""
