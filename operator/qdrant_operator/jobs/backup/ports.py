"""What the data path needs of the outside world, as Protocols; the adapters fit them without knowing them.

Every method may raise `Retryable` (try again) or `Refused` (a user must act).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place, StoredObject
from qdrant_operator.domain.common.kinds import Endpoint, Json, ShardSnapshot
from qdrant_operator.domain.qdrant.views import PeerView, ShardId


class Peers(Protocol):
    """Calls to Qdrant's peers, one at a time."""

    async def observe(self, endpoint: Endpoint) -> PeerView: ...

    async def collection(self, endpoint: Endpoint, name: str) -> Json: ...

    async def aliases(self, endpoint: Endpoint) -> Mapping[str, str]: ...

    async def create_shard_snapshot(self, endpoint: Endpoint, name: str, shard: ShardId) -> ShardSnapshot: ...

    async def shard_snapshots(
        self, endpoint: Endpoint, name: str, shard: ShardId
    ) -> tuple[ShardSnapshot, ...]: ...

    async def delete_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> None: ...

    def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]: ...


class Storage(Protocol):
    """One place in object storage."""

    async def read(self, key: str) -> bytes | None: ...

    async def list(self, prefix: str) -> tuple[StoredObject, ...]: ...

    async def delete(self, keys: Sequence[str]) -> None: ...

    async def write(self, key: str, content: bytes) -> None: ...

    async def write_new(self, key: str, content: bytes) -> None: ...

    async def upload(self, key: str, chunks: AsyncIterator[bytes], part_bytes: int) -> None: ...

    def stream(self, key: str) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """How a run opens the outside world; the command line puts the adapters in."""

    peers: Callable[[], AbstractAsyncContextManager[Peers]]
    storage: Callable[[S3Place, S3Credentials | None], Storage]
