"""An event loop whose clock jumps: nothing waits, and one seed gives one run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sandbox.fakes.kubernetes import Crash

T = TypeVar("T")
SPINS = 20_000
"""Turns of the event loop without any time passing that no run needs."""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _Jumping(selectors.SelectSelector):
    """Never blocks: the time that it was asked to wait has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._still = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits and nothing is due: the simulation stands still")
        self._still = self._still + 1 if timeout <= 0 else 0
        if self._still > SPINS:
            self._still = 0
            raise RuntimeError(f"{SPINS} turns of the loop at one moment: somebody never rests")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now


class VirtualClock:
    """Implements `reconcile.ports.Clock` on the running virtual loop."""

    def now(self) -> datetime:
        """Virtual time, UTC."""
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    def seconds(self) -> float:
        """Virtual seconds since the simulation began."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


def _unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A killed operator's task ends with `Crash`: that is intended."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


def run(simulation: Coroutine[Any, Any, T]) -> T:
    """Run a simulation in virtual time to its end."""
    loop = VirtualLoop()
    loop.set_exception_handler(_unless_killed)
    try:
        return loop.run_until_complete(simulation)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
