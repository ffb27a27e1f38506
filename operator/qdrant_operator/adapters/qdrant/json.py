"""Qdrant's JSON answers as values of `domain.qdrant.views`. Pure; the tests use recorded answers.

Nothing is guessed: an answer without a field that consensus always has raises KeyError, which the caller reports as
an unusable answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from qdrant_operator.domain.common.kinds import Json, ShardSnapshot
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    LocalReplica,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardView,
    Transfer,
)

DUMMY = "dummy shard"
"""`local.variant_name` of a shard whose data could not be loaded."""

MESSAGE_CHARACTERS = 2000
"""Characters kept of a message of Qdrant, which conditions and Events show."""


def peer_view(cluster: Json, telemetry: Json, *, ready: bool) -> PeerView:
    """One peer's view from the results of `GET /cluster` and `GET /telemetry?details_level=3`.

    Raises:
        KeyError, TypeError, ValueError: the answers are not those of a peer in cluster mode.
    """
    raft = cluster["raft_info"]
    thread = cluster["consensus_thread_status"]
    return PeerView(
        peer=PeerId(cluster["peer_id"]),
        peers={PeerId(int(peer)): _uri(known["uri"]) for peer, known in cluster["peers"].items()},
        leader=None if raft["leader"] is None else PeerId(raft["leader"]),
        term=raft["term"],
        commit=raft["commit"],
        pending=raft["pending_operations"],
        voter=raft["is_voter"],
        consensus_working=thread["consensus_thread_status"] == "working",
        version=telemetry["app"]["version"],
        collections=_collections(telemetry),
        ready=ready,
        send_failures=_send_failures(cluster),
        send_failed_at=_send_failed_at(cluster),
        consensus_error=str(thread.get("err") or "")[:MESSAGE_CHARACTERS],
    )


def is_disabled(cluster: Mapping[str, Json]) -> bool:
    """Whether the result of `GET /cluster` is from a server without cluster mode."""
    return cluster.get("status") == "disabled"


def shard_snapshot(described: Json) -> ShardSnapshot:
    """A snapshot from its description in an answer."""
    return ShardSnapshot(described["name"], described["size"], described.get("checksum"))


def error_message(answer: Json, text: str) -> str:
    """The message of Qdrant in an error; the start of the raw text where there is none."""
    status = answer.get("status") if isinstance(answer, Mapping) else None
    message = status.get("error") if isinstance(status, Mapping) else None
    return str(message)[:MESSAGE_CHARACTERS] if message else text.strip()[:500] or "no message"


def _uri(uri: str) -> str:
    return uri.rstrip("/")


def _send_failures(cluster: Json) -> dict[str, str]:
    failures = cluster.get("message_send_failures") or {}
    return {
        _uri(uri): str(failure.get("latest_error"))[:MESSAGE_CHARACTERS] for uri, failure in failures.items()
    }


def _send_failed_at(cluster: Json) -> dict[str, datetime]:
    failures = cluster.get("message_send_failures") or {}
    moments = {_uri(uri): failure.get("latest_error_timestamp") for uri, failure in failures.items()}
    return {uri: datetime.fromisoformat(moment) for uri, moment in moments.items() if moment}


def _collections(telemetry: Json) -> tuple[CollectionView, ...]:
    found = telemetry["collections"].get("collections") or ()
    return tuple(sorted(map(_collection, found), key=lambda view: view.name))


def _collection(described: Json) -> CollectionView:
    params = described["config"]["params"]
    return CollectionView(
        name=described["id"],
        shard_number=params["shard_number"],
        replication_factor=params["replication_factor"],
        write_consistency_factor=params["write_consistency_factor"],
        sharding_custom=params.get("sharding_method") == "custom",
        shards=tuple(sorted(map(_shard, described["shards"]), key=lambda view: view.shard)),
        transfers=tuple(map(_transfer, described.get("transfers") or ())),
        resharding=bool(described.get("resharding")),
    )


def _shard(described: Json) -> ShardView:
    states = described["replicate_states"]
    return ShardView(
        shard=ShardId(described["id"]),
        key=described.get("key"),
        states={PeerId(int(peer)): _state(state) for peer, state in states.items()},
        local=_local(described.get("local")),
    )


def _state(state: str) -> ReplicaState:
    """A state of a newer Qdrant that we do not know is UNKNOWN, never sound."""
    try:
        return ReplicaState(state)
    except ValueError:
        return ReplicaState.UNKNOWN


def _local(local: Json) -> LocalReplica | None:
    if local is None:
        return None
    dummy = local.get("variant_name") == DUMMY
    size = (local.get("vectors_size_bytes") or 0) + (local.get("payloads_size_bytes") or 0)
    return LocalReplica(points=None if dummy else local.get("num_points"), bytes=size, dummy=dummy)


def _transfer(described: Json) -> Transfer:
    return Transfer(
        shard=ShardId(described["shard_id"]),
        source=PeerId(described["from"]),
        target=PeerId(described["to"]),
        method=described.get("method"),
        keeps_source=bool(described["sync"]),
    )
