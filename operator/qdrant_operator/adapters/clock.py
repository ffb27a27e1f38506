"""The real clock: the only place in the operator that asks the machine what time it is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Wall-clock time in UTC, and sleeping on the running event loop."""

    def now(self) -> datetime:
        """Current time, UTC, with time zone."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Pause for this many seconds; 0 or less only gives others a turn."""
        await asyncio.sleep(max(0.0, seconds))
