"""Qdrant's own words as types: what a peer says of its cluster.

Adapters build these from JSON; planners read them. An unreachable peer is a value (`Silent`), never
an empty view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

PeerId = NewType("PeerId", int)
ShardId = NewType("ShardId", int)
ShardKey = int | str


class ReplicaState(StrEnum):
    """State of a replica in consensus (Qdrant's `ReplicaState`)."""

    ACTIVE = "Active"
    DEAD = "Dead"
    PARTIAL = "Partial"
    INITIALIZING = "Initializing"
    LISTENER = "Listener"
    PARTIAL_SNAPSHOT = "PartialSnapshot"
    RECOVERY = "Recovery"
    RESHARDING = "Resharding"
    RESHARDING_SCALE_DOWN = "ReshardingScaleDown"
    ACTIVE_READ = "ActiveRead"
    MANUAL_RECOVERY = "ManualRecovery"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class LocalReplica:
    """The part of a shard that the answering peer itself holds."""

    points: int | None
    """Points as the peer counts them; None where the shard is a dummy that holds nothing readable."""
    bytes: int
    """Vectors and payloads, in bytes."""
    dummy: bool = False


@dataclass(frozen=True, slots=True)
class ShardView:
    """One shard in one peer's view."""

    shard: ShardId
    key: ShardKey | None
    states: Mapping[PeerId, ReplicaState]
    """Every holder that consensus knows, and the state of its replica."""
    local: LocalReplica | None
    """What the answering peer holds itself, if it is a holder."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A running shard transfer."""

    shard: ShardId
    source: PeerId
    target: PeerId
    method: str | None
    keeps_source: bool = True
    """True: it replicates; False: the source's replica goes when it is done (Qdrant's `sync`)."""


@dataclass(frozen=True, slots=True)
class CollectionView:
    """One collection in one peer's view."""

    name: str
    shard_number: int
    replication_factor: int
    write_consistency_factor: int
    sharding_custom: bool
    shards: tuple[ShardView, ...]
    transfers: tuple[Transfer, ...] = ()
    resharding: bool = False


@dataclass(frozen=True, slots=True)
class PeerView:
    """What one reachable peer says: `GET /cluster` and `GET /telemetry?details_level=3`."""

    peer: PeerId
    peers: Mapping[PeerId, str]
    """Known members and their p2p URIs, itself included."""
    leader: PeerId | None
    term: int
    commit: int
    pending: int
    voter: bool
    consensus_working: bool
    version: str
    collections: tuple[CollectionView, ...] = ()
    ready: bool = True
    """`/readyz` answered 200."""
    send_failures: Mapping[str, str] = field(default_factory=dict)
    """URI of a member that this peer could not reach, and the latest error. It stays there until the next message,
    which a follower may never have for another one."""
    send_failed_at: Mapping[str, datetime] = field(default_factory=dict)
    """When that was, by the peer's clock."""
    consensus_error: str = ""
    """Why its consensus thread has stopped, where it says so."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A peer that gave no usable answer, and why."""

    reason: str
    key_refused: bool = False
    """It answers, and does not take the API key."""


View = PeerView | Silent
