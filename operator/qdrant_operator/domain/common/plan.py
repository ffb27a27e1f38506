"""A plan: the steps that may be taken now, in order, and the steps that a guard blocks. One shape for all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Never, TypeVar

from qdrant_operator.domain.common.guards import Guard

Step_co = TypeVar("Step_co", covariant=True)
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Blocked:
    """A step that a guard blocks now."""

    step: str
    guard: Guard
    message: str


@dataclass(frozen=True, slots=True)
class Plan(Generic[Step_co]):
    """Steps in order, and what is blocked."""

    steps: tuple[Step_co, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    def __add__(self, later: Plan[Other]) -> Plan[Step_co | Other]:
        return Plan(self.steps + later.steps, self.blocked + later.blocked)


def held_back(step: str, guard: Guard, message: str) -> Plan[Never]:
    """A plan without steps that says why."""
    return Plan(blocked=(Blocked(step, guard, message),))
