"""Object storage in memory: the ports of the loop and of the data path, with damage on demand.

The contract suite holds it to what a real S3 server does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from qdrant_operator.domain.backup.storage import StoredObject
from qdrant_operator.domain.common.errors import Refused

CHUNK = 1000


def wall_clock() -> datetime:
    """The storage's own clock."""
    return datetime.now(UTC)


class FakeStorage:
    """One bucket."""

    def __init__(self, now: Callable[[], datetime] = wall_clock) -> None:
        """An empty bucket whose clock is `now`."""
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.failure: Exception | None = None
        """Raised by every call while it is set."""
        self.on_upload: Callable[[str, bytes], bytes] = lambda _, content: content
        """Changes what is stored, as a broken disk would."""
        self._now = now

    def put(self, key: str, content: bytes) -> None:
        """Place an object, as somebody else would."""
        self.objects[key] = (content, self._now())

    def keys(self, prefix: str = "") -> list[str]:
        """Names of the objects."""
        return sorted(key for key in self.objects if key.startswith(prefix))

    async def probe(self) -> None:
        """Prove that the bucket is there."""
        await self._turn()

    async def read(self, key: str) -> bytes | None:
        """A small object."""
        await self._turn()
        return self.objects[key][0] if key in self.objects else None

    async def list(self, prefix: str) -> tuple[StoredObject, ...]:
        """Objects in a folder."""
        await self._turn()
        return tuple(
            StoredObject(key, len(self.objects[key][0]), self.objects[key][1]) for key in self.keys(prefix)
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete; what is gone already is success."""
        await self._turn()
        for key in keys:
            self.objects.pop(key, None)

    async def write(self, key: str, content: bytes) -> None:
        """Write a small object."""
        await self._turn()
        self.put(key, content)

    async def write_new(self, key: str, content: bytes) -> None:
        """Write a small object that must not exist."""
        await self._turn()
        if key in self.objects:
            raise Refused("AlreadyExists", f"{key} exists already")
        self.put(key, content)

    async def upload(self, key: str, chunks: AsyncIterator[bytes], part_bytes: int) -> None:
        """Store a stream; nothing is visible before its end."""
        assert part_bytes >= 5 * 2**20, "S3 refuses smaller parts"
        content = b"".join([chunk async for chunk in chunks])
        await self._turn()
        self.put(key, self.on_upload(key, content))

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in chunks."""
        await self._turn()
        if key not in self.objects:
            raise Refused("ObjectNotFound", f"{key} does not exist")
        content = self.objects[key][0]
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
