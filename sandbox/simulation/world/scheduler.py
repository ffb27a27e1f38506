"""What happens later, and what runs in the background, on the virtual event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any


class Scheduler:
    """Timers and background tasks of one simulation."""

    def __init__(self, random: Random) -> None:
        """`random` gives the moments of `within`."""
        self._random = random
        self._tasks: list[asyncio.Task[Any]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action after so many seconds."""
        asyncio.get_running_loop().call_later(seconds, action)

    def within(self, most: float, action: Callable[[], None]) -> None:
        """Run an action at a random moment of the next `most` seconds."""
        self.after(self._random.uniform(0.0, most), action)

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine beside everything else until it returns or `stop` cancels it."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def stop(self) -> None:
        """Cancel everything in the background and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
