"""Who watches what operators send: laws that judge it, faults that wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core.api.answers import Call


def _ignore_call(_call: Call) -> None:
    pass


def _never_last(_host: str, _call: Call) -> bool:
    return False


def _ignore_write(_write: Write) -> None:
    pass


@dataclass(slots=True)
class OperatorHooks:
    """Called by every operator; whoever runs the simulation sets them."""

    on_call: Callable[[Call], None] = _ignore_call
    """An operator sends a call to a peer that changes something."""
    is_last_call: Callable[[str, Call], bool] = _never_last
    """Whether the operator that sends this call to this host dies, and the call arrives late."""
    before_write: Callable[[Write], None] = _ignore_write
    """An operator's write reaches the API server now."""
