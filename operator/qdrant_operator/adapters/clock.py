"""The system clock. Decisions take the time from this port only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Wall-clock time in UTC, and sleeping on the running event loop."""

    def now(self) -> datetime:
        """Current time, UTC, with time zone."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Pause for this many seconds; with 0 or less, other tasks run once."""
        await asyncio.sleep(max(0.0, seconds))
