"""Qdrant's peers in memory, as the data path of backups sees them: shards, local snapshot files, faults."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json, ShardSnapshot
from qdrant_operator.domain.qdrant.views import PeerView, ReplicaState, ShardId
from tests.domain.clusters import collection, view

CHUNK = 700
File = tuple[str, int, str]
"""Collection, shard, name."""


def untouched(_: int, chunk: bytes) -> bytes:
    """What leaves the peer arrives."""
    return chunk


class FakePeers:
    """Three peers `http://vectors-N…:6333` with one collection, two replicas a shard."""

    def __init__(
        self, placement: Mapping[int, tuple[int, ...]], size: int = 5000, names: tuple[str, ...] = ("docs",)
    ) -> None:
        """Every shard holds `size` bytes; every collection is placed alike."""
        self.placement = dict(placement)
        self.collections = names
        self.states: dict[tuple[int, int], ReplicaState] = {}
        """(shard, ordinal) → state of that replica in everybody's view; Active where it is not named."""
        self.refusal: dict[str, Exception] = {}
        """Collection → what its peers say instead of making a file."""
        self.files: dict[int, dict[File, bytes]] = {0: {}, 1: {}, 2: {}}
        """Ordinal → local snapshot files."""
        self.down: set[int] = set()
        self.on_chunk: Callable[[int, bytes], bytes] = untouched
        """Told the number of the chunk since the start of all; may change it or raise."""
        self.on_create: Callable[[int], None] = lambda _: None
        """Called with the ordinal when a file has been made; may raise, then the answer is lost."""
        self.gate = asyncio.Event()
        """Cleared: downloads wait."""
        self.gate.set()
        self.creating = asyncio.Event()
        """Cleared: making a file waits."""
        self.creating.set()
        self.asked = asyncio.Event()
        """Set when a file is asked for."""
        self.streaming = asyncio.Event()
        """Set when a download has begun."""
        self.made: list[tuple[int, int]] = []
        """(ordinal, shard) of every file that was made, in order."""
        self.busiest = 0
        """The most files that one peer made at the same moment."""
        self._busy = {0: 0, 1: 0, 2: 0}
        self._size = size
        self._chunks = 0

    def content(self, shard: int) -> bytes:
        """What a snapshot of the shard holds."""
        return bytes([shard + 1]) * self._size

    def names(self) -> list[str]:
        """Names of all local files of all peers."""
        return sorted(name for files in self.files.values() for _, _, name in files)

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """A peer's view."""
        ordinal = self._at(endpoint)
        several = tuple(
            collection(ordinal, self.placement, states=self.states, name=name) for name in self.collections
        )
        return view(ordinal, collections=several)

    async def collection(self, endpoint: Endpoint, name: str) -> Json:
        """Its description."""
        self._at(endpoint)
        return {"config": {"params": {"shard_number": 3}}, "payload_schema": {"tenant": {}}, "name": name}

    async def aliases(self, endpoint: Endpoint) -> Mapping[str, str]:
        """One alias."""
        self._at(endpoint)
        return {"live": "docs", "other": "elsewhere"}

    async def create_shard_snapshot(self, endpoint: Endpoint, name: str, shard: ShardId) -> ShardSnapshot:
        """Make a file; like Qdrant it goes on when nobody listens any more."""
        making = asyncio.ensure_future(self._make(self._at(endpoint), name, shard))
        return await asyncio.shield(making)

    async def _make(self, ordinal: int, name: str, shard: ShardId) -> ShardSnapshot:
        if name in self.refusal:
            raise self.refusal[name]
        if ordinal not in self.placement[int(shard)]:
            raise Refused("BadRequest", f"Wrong input: Shard {shard} is not a local or queue proxy shard")
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S")
        file = (name, int(shard), f"{name}-shard-{shard}-{stamp}.snapshot")
        self._busy[ordinal] += 1
        self.busiest = max(self.busiest, self._busy[ordinal])
        self.asked.set()
        await self.creating.wait()
        await asyncio.sleep(0)
        self._busy[ordinal] -= 1
        content = self.files[ordinal][file] = self.content(int(shard))
        self.made.append((ordinal, int(shard)))
        self.on_create(ordinal)
        return ShardSnapshot(file[2], len(content), hashlib.sha256(content).hexdigest())

    async def shard_snapshots(
        self, endpoint: Endpoint, name: str, shard: ShardId
    ) -> tuple[ShardSnapshot, ...]:
        """Local files of a shard."""
        ordinal = self._at(endpoint)
        if ordinal not in self.placement[int(shard)]:
            raise Refused("BadRequest", f"Wrong input: Shard {shard} is not a local shard")
        files = self.files[ordinal]
        return tuple(
            ShardSnapshot(file[2], len(content), None)
            for file, content in files.items()
            if file[:2] == (name, int(shard))
        )

    async def delete_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> None:
        """Delete a local file."""
        if self.files[self._at(endpoint)].pop((name, int(shard), snapshot), None) is None:
            raise Refused("NotFound", f"Not found: {snapshot}")

    async def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]:
        """A local file in chunks."""
        content = self.files[self._at(endpoint)][name, int(shard), snapshot]
        for start in range(0, len(content), CHUNK):
            self.streaming.set()
            await self.gate.wait()
            self._chunks += 1
            yield self.on_chunk(self._chunks, content[start : start + CHUNK])

    def _at(self, endpoint: Endpoint) -> int:
        ordinal = int(endpoint.url.removeprefix("http://vectors-")[0])
        if ordinal in self.down:
            raise Unreachable(f"{endpoint.url} does not answer")
        return ordinal
