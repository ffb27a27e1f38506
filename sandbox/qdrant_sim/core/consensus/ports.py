"""What consensus needs of a peer's process and of the network: it knows neither of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from sandbox.qdrant_sim.core.choices import Choices
from sandbox.qdrant_sim.core.consensus.op import Op
from sandbox.qdrant_sim.core.consensus.persisted import Persisted
from sandbox.qdrant_sim.core.consensus.state import State
from sandbox.qdrant_sim.core.consensus.timeline import Timeline
from sandbox.qdrant_sim.core.pace import Pace


class Participant(Protocol):
    """A process that takes part in consensus."""

    address: str
    running: bool
    paused: bool
    exit_code: int | None
    role: str | None
    leader: int | None

    @property
    def disk(self) -> Persisted:
        """What it keeps."""

    def lead(self, term: int) -> None:
        """Become leader."""

    def step_down(self) -> None:
        """Stop leading: there is a later term."""

    def campaign(self) -> None:
        """Ask for votes in vain."""

    def heal_soon(self, after: float) -> None:
        """Check the own replicas a little later."""

    def learned(self) -> None:
        """Something in its view has changed."""

    def before(self, op: Op) -> None:
        """An operation is about to be applied to its state."""

    def after(self, op: Op) -> None:
        """An operation was applied to its state."""

    def after_snapshot(self) -> None:
        """Its whole state was replaced by the leader's."""

    def follow(self, leader: int, term: int) -> None:
        """Accept a leader."""


P = TypeVar("P", bound=Participant)
P_contra = TypeVar("P_contra", bound=Participant, contravariant=True)


class Network(Protocol[P_contra]):
    """Time, chance, and who reaches whom."""

    timeline: Timeline
    random: Random
    choices: Choices
    pace: Pace
    lag: dict[str, float]
    """Seconds by which the peer at an address applies later what is committed."""
    on_commit: Callable[[Op, State], None]
    """Called with every entry of a log and the state before it."""

    def linked(self, one: P_contra, other: P_contra) -> bool:
        """Whether two processes can talk to each other now."""

    def election(self) -> float:
        """How long an election takes, in seconds."""
