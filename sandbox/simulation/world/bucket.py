"""Object storage in virtual time: slow, with requests that are lost, and with laws that see every byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from random import Random

from qdrant_operator.domain.backup.storage import StoredObject
from qdrant_operator.domain.common.errors import Refused, Unreachable
from sandbox.simulation.world.conditions import Conditions

SLOW = 0.4
"""Seconds that a request takes at most."""
LOST = 0.01
"""Chance that a request, and that an answer, is lost while there is trouble."""
PIECE = 512
Change = Callable[[str, bytes | None, bytes | None], None]
"""Called with a key, what was there and what is there now."""


class Bucket:
    """One bucket, shared by everybody who knows its name."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """It is empty, and `now` is its clock."""
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.on_change: Change = lambda _key, _before, _after: None
        self._now = now

    def put(self, key: str, content: bytes | None) -> None:
        """Store, replace or delete an object."""
        before = self.objects.get(key)
        if content is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = (content, self._now())
        if (before[0] if before else None) != content:
            self.on_change(key, before[0] if before else None, content)


class Door:
    """A process's connection to the bucket; implements the ports of the product."""

    def __init__(
        self, conditions: Conditions, bucket: Bucket, random: Random, check_alive: Callable[[], None]
    ) -> None:
        """Requests are lost only while faults are active; `check_alive` raises when the process is dead."""
        self._conditions, self._bucket, self._random = conditions, bucket, random
        self._check_alive = check_alive

    async def probe(self) -> None:
        """Prove that the bucket is there."""
        await self._asks()

    async def read(self, key: str) -> bytes | None:
        """A small object."""
        await self._asks()
        found = self._bucket.objects.get(key)
        return found[0] if found else None

    async def list(self, prefix: str) -> tuple[StoredObject, ...]:
        """Objects in a folder."""
        await self._asks()
        found = sorted((k, v) for k, v in self._bucket.objects.items() if k.startswith(prefix))
        return tuple(StoredObject(key, len(content), moment) for key, (content, moment) in found)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete; what is gone already is success."""
        await self._asks()
        for key in keys:
            self._bucket.put(key, None)
        self._answers()

    async def write(self, key: str, content: bytes) -> None:
        """Write a small object."""
        await self._asks()
        self._bucket.put(key, content)
        self._answers()

    async def write_new(self, key: str, content: bytes) -> None:
        """Write a small object that must not exist."""
        await self._asks()
        if key in self._bucket.objects:
            raise Refused("AlreadyExists", f"{key} exists already")
        self._bucket.put(key, content)
        self._answers()

    async def upload(self, key: str, chunks: AsyncIterator[bytes], part_bytes: int) -> None:
        """Store a stream; nothing is visible before its end."""
        del part_bytes
        content = b"".join([chunk async for chunk in chunks])
        await self._asks()
        self._bucket.put(key, content)
        self._answers()

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in chunks."""
        await self._asks()
        if key not in self._bucket.objects:
            raise Refused("ObjectNotFound", f"{key} does not exist")
        content = self._bucket.objects[key][0]
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]

    async def _asks(self) -> None:
        await asyncio.sleep(self._random.uniform(0.0, SLOW))
        self._check_alive()
        if self._conditions.faults_active and self._random.random() < LOST:
            raise Unreachable("the request to the storage was lost")

    def _answers(self) -> None:
        if self._conditions.faults_active and self._random.random() < LOST:
            raise Unreachable("the answer of the storage was lost")
