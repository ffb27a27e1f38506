"""How long an operator's process lives, and how it ends."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from random import Random

from sandbox.fakes.kubernetes import Crash
from sandbox.simulation.world.conditions import Conditions

IMMORTAL = 15
"""Operators from this number on do not end by themselves, so that a run makes progress."""


class End(Enum):
    """How an operator ends."""

    BEFORE = auto()
    """It dies when it is about to write."""
    AFTER = auto()
    """It dies when its write has been carried out."""
    LATE = auto()
    """It dies, or loses the Lease, while its write is under way."""


class Lifetime:
    """Counts a process's writes and ends it at one of them, while faults are active."""

    def __init__(self, number: int, random: Random, conditions: Conditions) -> None:
        """The process lives; the running loop is the one it lives on."""
        self.number, self._conditions = number, conditions
        self.dead = False
        self.end = random.choice(list(End))
        mortal = conditions.faults_active and number < IMMORTAL
        self._writes_left = random.randint(1, 25) if mortal else None
        self._died: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return when the process ends."""
        await self._died

    def check_alive(self) -> None:
        """Do nothing while the process lives.

        Raises:
            Crash: it is dead.
        """
        if self.dead:
            raise Crash

    def ends_now(self) -> bool:
        """Count a write; whether it is this process's last.

        Raises:
            Crash: it is dead already.
        """
        self.check_alive()
        if self._writes_left is None or not self._conditions.faults_active:
            return False
        self._writes_left -= 1
        return self._writes_left <= 0

    def end_late(self) -> None:
        """The next write is the last one, and arrives after the process has died."""
        self.end, self._writes_left = End.LATE, 1

    def die(self) -> None:
        """The process ends here.

        Raises:
            Crash: always.
        """
        self.vanish()
        raise Crash

    def vanish(self) -> None:
        """The process ends, wherever it is."""
        self.dead = True
        if not self._died.done():
            self._died.set_result(None)
