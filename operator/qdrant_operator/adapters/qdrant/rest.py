"""Qdrant's REST API as the `Qdrant` port of the loop: one call to one peer at a time.

No decisions are made here: no retries, no choice of a peer, no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from qdrant_operator.adapters.leadership import MayAct, always
from qdrant_operator.adapters.qdrant.http import UNUSABLE, ObserveLatency, PeerHttp, Request, path
from qdrant_operator.adapters.qdrant.json import is_disabled, peer_view, shard_snapshot
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json, ShardSnapshot
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, ShardId, ShardKey

OBSERVE_SECONDS = 4.0
"""Time limit of an observation of one peer. `/readyz` may take 0.5 s, and calls that wait for a dead peer as long."""
CONSENSUS_SECONDS = 60
"""How long Qdrant may wait for consensus: with a dead peer, the creation of a collection took 5 s."""
CLIENT_MARGIN_SECONDS = 5.0
"""The time-out of Qdrant must come first: its answer has more information than a time-out here."""
COUNT_SECONDS = 60.0
"""An exact count reads every id of the shards."""
SNAPSHOT_SECONDS = 6 * 3600.0
"""Creating a snapshot of a shard takes minutes for gigabytes. Keep-alive probes detect a dead node earlier."""
STREAM_READ_SECONDS = 60.0
"""Longest time without data within a download."""
CHUNK_BYTES = 2**20


class QdrantRest:
    """Talks to peers by their own addresses; implements `reconcile.ports.Qdrant`."""

    def __init__(
        self,
        observe_latency: ObserveLatency,
        *,
        may_act: MayAct = always,
        consensus_seconds: int = CONSENSUS_SECONDS,
    ) -> None:
        """`observe_latency` is called after each request; `may_act` is checked before each change."""
        self._http = PeerHttp(observe_latency, may_act)
        self._consensus_seconds = consensus_seconds

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """The view of this peer: its own state, its peers and its collections.

        Raises:
            Unreachable: one of the three requests got no usable answer.
            Refused: Forbidden; `ClusterModeDisabled` when the peer runs outside cluster mode.
        """
        cluster, telemetry, ready = await asyncio.gather(
            self._http.json(endpoint, _look("observe_cluster", "/cluster")),
            self._http.json(endpoint, _look("observe_telemetry", "/telemetry", details_level="3")),
            self._ready(endpoint),
        )
        if isinstance(cluster, dict) and is_disabled(cluster):
            raise Refused(
                "ClusterModeDisabled",
                f"the peer at {endpoint.url} runs without cluster mode: set cluster.enabled in its configuration",
            )
        try:
            return peer_view(cluster, telemetry, ready=ready)
        except UNUSABLE as error:
            raise Unreachable(f"the peer at {endpoint.url} gave an unusable answer: {error!r}") from error

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json:
        """A value of the consensus metadata as this peer has it; None when absent."""
        return await self._http.json(
            endpoint, Request("cluster_key", "GET", path("cluster", "metadata", "keys", key))
        )

    async def put_cluster_key(self, endpoint: Endpoint, key: str, value: Json) -> None:
        """Write a value to the consensus metadata; other peers apply it a little later."""
        request = Request(
            "put_cluster_key",
            "PUT",
            path("cluster", "metadata", "keys", key),
            {"wait": "true"},
            value,
            self._consensus_seconds + CLIENT_MARGIN_SECONDS,
        )
        await self._http.json(endpoint, request)

    async def collections(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Names of all collections, sorted."""
        return await self._http.read(
            endpoint,
            Request("collections", "GET", "/collections"),
            lambda result: tuple(sorted(found["name"] for found in result["collections"])),
        )

    async def collection(self, endpoint: Endpoint, name: str) -> Json:
        """`result` of GET /collections/{name}; `Refused("NotFound")` when absent.

        Qdrant asks every shard for it: `Unreachable` when a shard has no reachable replica.
        """
        return await self._http.json(endpoint, Request("collection", "GET", path("collections", name)))

    async def create_collection(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """Create a collection; `Refused("AlreadyExists")` when the name exists."""
        await self._consensus(endpoint, "create_collection", "PUT", path("collections", name), body)

    async def update_collection(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """Change a collection's mutable configuration."""
        await self._consensus(endpoint, "update_collection", "PATCH", path("collections", name), body)

    async def delete_collection(self, endpoint: Endpoint, name: str) -> None:
        """Delete a collection; one that does not exist is success, as in Qdrant."""
        await self._consensus(endpoint, "delete_collection", "DELETE", path("collections", name))

    async def update_shards(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """One operation on the shards of a collection; returns when consensus has it, while the transfer runs."""
        await self._consensus(endpoint, "update_shards", "POST", path("collections", name, "cluster"), body)

    async def remove_peer(self, endpoint: Endpoint, peer: PeerId, *, force: bool) -> None:
        """Remove a peer from consensus; without `force`, Qdrant refuses while it holds shards."""
        await self._consensus(
            endpoint,
            "remove_peer",
            "DELETE",
            path("cluster", "peer", peer),
            force="true" if force else "false",
        )

    async def create_shard_key(self, endpoint: Endpoint, name: str, body: Json) -> None:
        """Create a shard key and wait for its replicas; `Refused("AlreadyExists")` when it exists."""
        await self._key(endpoint, "create_shard_key", "PUT", path("collections", name, "shards"), body)

    async def delete_shard_key(self, endpoint: Endpoint, name: str, key: ShardKey) -> None:
        """Delete a shard key with its points; `Refused("NotFound")` when it does not exist."""
        where = path("collections", name, "shards", "delete")
        await self._key(endpoint, "delete_shard_key", "POST", where, {"shard_key": key})

    async def count_key_points(self, endpoint: Endpoint, name: str, key: ShardKey) -> int:
        """Exact number of points of a shard key; `Unreachable` when one of its shards cannot be read."""
        body = {"exact": True, "shard_key": key}
        where = path("collections", name, "points", "count")
        request = Request("count_key_points", "POST", where, {}, body, COUNT_SECONDS)
        return await self._http.read(endpoint, request, lambda result: int(result["count"]))

    async def put_payload_index(self, endpoint: Endpoint, name: str, field: str, schema: Json) -> None:
        """Create an index; returns when consensus has it, while Qdrant builds it in the background."""
        body = {"field_name": field, "field_schema": schema}
        await self._index(endpoint, "put_payload_index", "PUT", path("collections", name, "index"), body)

    async def delete_payload_index(self, endpoint: Endpoint, name: str, field: str) -> None:
        """Drop an index."""
        where = path("collections", name, "index", field)
        await self._index(endpoint, "delete_payload_index", "DELETE", where)

    async def aliases(self, endpoint: Endpoint) -> Mapping[str, str]:
        """All aliases: alias → collection."""
        return await self._http.read(
            endpoint,
            Request("aliases", "GET", "/aliases"),
            lambda result: {found["alias_name"]: found["collection_name"] for found in result["aliases"]},
        )

    async def update_aliases(self, endpoint: Endpoint, actions: Json) -> None:
        """Change aliases by a list of create_alias, delete_alias and rename_alias objects.

        Not atomic: when Qdrant refuses an action, the actions before it in the list stay in effect.
        """
        body = {"actions": actions}
        await self._consensus(endpoint, "update_aliases", "POST", "/collections/aliases", body)

    async def create_shard_snapshot(self, endpoint: Endpoint, name: str, shard: ShardId) -> ShardSnapshot:
        """Create a snapshot of a shard on this peer, and wait for it."""
        request = Request(
            "create_shard_snapshot",
            "POST",
            _snapshots(name, shard),
            {"wait": "true"},
            timeout=SNAPSHOT_SECONDS,
        )
        return await self._http.read(endpoint, request, shard_snapshot)

    async def shard_snapshots(
        self, endpoint: Endpoint, name: str, shard: ShardId
    ) -> tuple[ShardSnapshot, ...]:
        """Snapshot files of a shard on this peer."""
        request = Request("shard_snapshots", "GET", _snapshots(name, shard))
        return await self._http.read(
            endpoint, request, lambda result: tuple(shard_snapshot(found) for found in result)
        )

    async def delete_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> None:
        """Delete a snapshot file on this peer; `Refused("NotFound")` when it does not exist."""
        request = Request(
            "delete_shard_snapshot",
            "DELETE",
            _snapshots(name, shard, snapshot),
            {"wait": "true"},
            timeout=CONSENSUS_SECONDS,
        )
        await self._http.json(endpoint, request)

    async def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]:
        """The file in chunks of at most 2 MiB.

        Raises:
            Unreachable: the stream ended early, or had no data for too long.
        """
        request = Request("download_shard_snapshot", "GET", _snapshots(name, shard, snapshot))
        async with self._http.stream(
            endpoint, request, read_seconds=STREAM_READ_SECONDS, buffer=CHUNK_BYTES
        ) as response:
            seen = 0
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                seen += len(chunk)
                yield chunk
            if response.content_length not in (None, seen):
                raise Unreachable(
                    f"snapshot {snapshot!r} from {endpoint.url} ended after {seen} of"
                    f" {response.content_length} bytes"
                )

    async def _ready(self, endpoint: Endpoint) -> bool:
        """Whether /readyz answers 200; 503 means that some shards are not ready."""
        return await self._http.status(endpoint, _look("observe_ready", "/readyz"), (200, 503)) == 200

    async def _consensus(
        self, endpoint: Endpoint, operation: str, method: str, where: str, body: Json = None, **query: str
    ) -> None:
        """A call that needs consensus."""
        limit = {"timeout": str(self._consensus_seconds), **query}
        seconds = self._consensus_seconds + CLIENT_MARGIN_SECONDS
        await self._http.json(endpoint, Request(operation, method, where, limit, body, seconds))

    async def _key(self, endpoint: Endpoint, operation: str, method: str, where: str, body: Json) -> None:
        """A change of a shard key. Qdrant answers 400 instead of 404 or 409; only the message distinguishes them."""
        try:
            await self._consensus(endpoint, operation, method, where, body)
        except Refused as error:
            reasons = {"already exists for collection": "AlreadyExists", "does not exist for": "NotFound"}
            reason = next((reasons[text] for text in reasons if text in error.message), error.reason)
            raise Refused(reason, error.message) from error

    async def _index(
        self, endpoint: Endpoint, operation: str, method: str, where: str, body: Json = None
    ) -> None:
        """A change of an index, without a time-out parameter: strict mode refuses one above its own limit."""
        seconds = self._consensus_seconds + CLIENT_MARGIN_SECONDS
        await self._http.json(endpoint, Request(operation, method, where, {}, body, seconds))


def _look(operation: str, where: str, **query: str) -> Request:
    return Request(operation, "GET", where, query, timeout=OBSERVE_SECONDS)


def _snapshots(name: str, shard: ShardId, *snapshot: str) -> str:
    return path("collections", name, "shards", shard, "snapshots", *snapshot)
