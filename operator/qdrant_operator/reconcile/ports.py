"""What the loop needs of the outside world, as Protocols.

The real things live in `adapters`, the in-memory ones in `sandbox/fakes`; one contract suite runs against both.
Every method may raise `Retryable` (look again later) or `Refused` (a user must act) and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place, StoredObject
from qdrant_operator.domain.common.kinds import Endpoint, Json, Kind, Manifest, ShardSnapshot
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, ShardId, ShardKey

__all__ = [
    "Clock",
    "Endpoint",
    "Json",
    "Kind",
    "Kubernetes",
    "Manifest",
    "ObjectStorage",
    "Qdrant",
    "Reporter",
    "ShardSnapshot",
    "StorageFactory",
]


class Kubernetes(Protocol):
    """Reads from watch caches or live; writes by server-side apply or by patches that name a version.

    The caches contain our own last writes: the answer of every write is put there at once.
    """

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects of a watched kind in one namespace that carry all `labels`, sorted by name; no request."""
        ...

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object of a watched kind from the cache; no request."""
        ...

    async def read(self, kind: Kind, namespace: str, name: str, *, fresh: bool = False) -> Manifest | None:
        """One object, live; None when it does not exist. A Secret may be some seconds old unless `fresh`."""
        ...

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects with all `labels`, live, sorted by name."""
        ...

    async def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """Events about the object with this uid, live, in no order."""
        ...

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with our field manager, forced, strict about unknown fields."""
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Create; `Refused("AlreadyExists", …)` when it exists."""
        ...

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        foreground: bool = False,
    ) -> None:
        """Delete exactly the object with this uid, if a version is named exactly that one; gone already is success.

        Raises:
            Conflict: the object has another version.
        """
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """JSON merge patch of an object; with metadata.resourceVersion in the body it is conditional."""
        ...

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, *, resource_version: str, status: Manifest
    ) -> Manifest:
        """Replace `status` (a merge patch, absent fields as null) on exactly this version; else `Conflict`."""
        ...


class Qdrant(Protocol):
    """Calls to one peer at a time; each has a time-out.

    A consensus call that timed out raises `Unreachable`: it is neither done nor failed, look again.
    4xx answers raise `Refused(reason="BadRequest" | "NotFound" | "AlreadyExists" | "Forbidden", …)`.
    """

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """Everything this peer reports about itself, its peers and its collections."""
        ...

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json:
        """A value from the cluster's consensus metadata, None when absent."""
        ...

    async def put_cluster_key(self, endpoint: Endpoint, key: str, value: Json) -> None:
        """Write a value to the cluster's consensus metadata."""
        ...

    async def collections(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Names of all collections."""
        ...

    async def collection(self, endpoint: Endpoint, name: str) -> Json:
        """`result` of GET /collections/{name}; `Refused("NotFound")` when absent."""
        ...

    async def create_collection(self, endpoint: Endpoint, name: str, body: Json) -> None: ...

    async def update_collection(self, endpoint: Endpoint, name: str, body: Json) -> None: ...

    async def delete_collection(self, endpoint: Endpoint, name: str) -> None: ...

    async def update_shards(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """One operation of POST /collections/{name}/cluster; a transfer it starts continues after the answer."""
        ...

    async def remove_peer(self, endpoint: Endpoint, peer: PeerId, *, force: bool) -> None:
        """Remove a peer from consensus through another one.

        Without `force`: `Refused("BadRequest")` while it holds shards. With it nothing is asked: its replicas go.
        """
        ...

    async def create_shard_key(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """Make a shard key with its shards; `Refused("AlreadyExists")` when it is there."""
        ...

    async def delete_shard_key(self, endpoint: Endpoint, name: str, key: ShardKey) -> None:
        """Delete a shard key with its points; `Refused("NotFound")` when there is none."""
        ...

    async def count_key_points(self, endpoint: Endpoint, name: str, key: ShardKey) -> int:
        """Points of a shard key, counted exactly."""
        ...

    async def put_payload_index(self, endpoint: Endpoint, name: str, field: str, schema: Json) -> None: ...

    async def delete_payload_index(self, endpoint: Endpoint, name: str, field: str) -> None: ...

    async def aliases(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Alias → collection, all of them."""
        ...

    async def update_aliases(self, endpoint: Endpoint, actions: Json) -> None:
        """One atomic change of aliases."""
        ...

    async def create_shard_snapshot(self, endpoint: Endpoint, name: str, shard: ShardId) -> ShardSnapshot: ...

    async def shard_snapshots(
        self, endpoint: Endpoint, name: str, shard: ShardId
    ) -> tuple[ShardSnapshot, ...]: ...

    async def delete_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> None: ...

    def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]:
        """The file in chunks; an early end of the stream raises `Unreachable`."""
        ...


class ObjectStorage(Protocol):
    """One place in object storage, as the loop uses it; files are moved by the snapshot Jobs.

    Raises `Refused("BucketNotFound" | "CredentialsRefused", …)`, or `Unreachable`.
    """

    async def probe(self) -> None:
        """Prove that the bucket is there and lets us in."""
        ...

    async def read(self, key: str) -> bytes | None:
        """A small object, None when there is none."""
        ...

    async def list(self, prefix: str) -> tuple[StoredObject, ...]:
        """Objects whose key begins with this folder (a slash at its end)."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete; what is gone already is success."""
        ...


StorageFactory = Callable[[S3Place, S3Credentials], ObjectStorage]
"""Opens a place with a user's keys. Nothing is asked before the first call."""


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Current time, UTC, with time zone."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Reporter(Protocol):
    """Where the loop reports what it did: Events and metrics."""

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Emit a Kubernetes Event (`kind` Normal or Warning), folded when it repeats."""
        ...

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count a step by its name and outcome (done, started, failed)."""
        ...

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Record which guards block a step now (empty: none)."""
        ...
