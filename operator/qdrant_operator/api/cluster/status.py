"""Status of a QdrantCluster: current state of its peers and shards.

No I/O here. `phase` is for display only; no decision reads it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import Blocked, Model, Status, Time, list_map


class ClusterPhase(StrEnum):
    """Summary for display; decisions use conditions and observed state instead."""

    PENDING = "Pending"
    BOOTSTRAPPING = "Bootstrapping"
    READY = "Ready"
    UPDATING = "Updating"
    SCALING = "Scaling"
    REPAIRING = "Repairing"
    DEGRADED = "Degraded"
    BLOCKED = "Blocked"
    PAUSED = "Paused"
    UNKNOWN = "Unknown"


class Endpoints(Model):
    """Addresses for applications."""

    rest: str
    """URL of the REST API."""
    grpc: str
    """Host and port of the gRPC API."""
    secret_name: str | None = None
    """Secret with the API key, host, ports and URLs."""


class PeerStatus(Model):
    """One pod and the peer in it."""

    pod: str
    """Name of the pod."""
    id: int | None = None
    """Peer id in consensus; absent while the peer has not answered."""
    state: str = "Unknown"
    """State of the peer, as one word."""
    version: str | None = None
    """Qdrant release that the peer runs."""
    zone: str | None = None
    """Zone of the pod, if spec.shards.zoneKey is set."""
    shards: Annotated[int, Field(ge=0)] | None = None
    """Replicas of shards that the peer holds."""
    points: Annotated[int, Field(ge=0)] | None = None
    """Points in these replicas."""
    bytes: Annotated[int, Field(ge=0)] | None = None
    """Size of vectors and payloads in these replicas, in bytes."""


class ShardCounts(Model):
    """Replicas of all shards of all collections."""

    wanted: Annotated[int, Field(ge=0)] = 0
    """Desired replicas of all collections."""
    sound: Annotated[int, Field(ge=0)] = 0
    """Replicas that are active, on a peer that answers, and complete."""
    dead: Annotated[int, Field(ge=0)] = 0
    """Replicas that at least one peer reports as Dead."""
    transfers: Annotated[int, Field(ge=0)] = 0
    """Running shard transfers."""
    imbalance: Annotated[int, Field(ge=0)] | None = None
    """Largest difference, in any collection or shard key, between the replicas of two peers; 0 or 1 is level."""


class Bootstrap(Model):
    """Record of the formation of the Raft cluster, written before the pods exist."""

    phase: Literal["Started", "Formed", "Complete", "Adopted"]
    """Started: one pod may form the cluster. Formed: it has formed the cluster. Complete: all peers have joined.
    Adopted: a StatefulSet or volumes existed before this record."""
    pod: str | None = None
    """The pod that was allowed to form the cluster."""
    peer_id: int | None = None
    """Id of its peer, once known."""


class Member(Model):
    """A peer and the volume that holds its data."""

    pod: str
    """Name of the pod."""
    peer_id: int
    """Id of the peer in consensus."""
    claim_uid: str
    """Uid of the volume claim that holds the peer's data."""
    lost_since: Time | None = None
    """Since when the pod has a different or an empty volume, while its peer is still part of consensus and does not
    answer."""


class Leaving(Model):
    """Record of the peer that is being removed, written before its removal."""

    pod: str
    """Name of the pod."""
    peer_id: int | None = None
    """Id of the peer; absent if it never joined."""
    claim_uid: str = ""
    """Uid of its volume claim; empty if there is none."""
    phase: Literal["Removing", "Removed"]
    """Removing: the peer holds no shards and is being removed from consensus. Removed: it is removed; its pod and
    volume are being deleted."""


class Advice(Model):
    """A setting that works and is not recommended for production."""

    reason: str
    """Reason, as one CamelCase word."""
    message: str
    """What was observed, and what to do."""


class ClusterStatus(Status):
    """Current state of the cluster."""

    phase: ClusterPhase | None = None
    """Summary for display; wait for the condition Ready instead."""
    version: str | None = None
    """Qdrant release of all peers that answer; unset while they run different releases."""
    highest_version: str | None = None
    """Highest Qdrant release that ever ran. Only an allowed downgrade lowers it."""
    leader: str | None = None
    """Pod of the leader of consensus."""
    endpoint: Endpoints | None = None
    """Addresses for applications."""
    peers: Annotated[tuple[PeerStatus, ...], Field(json_schema_extra=list_map("pod"))] = ()
    """The pods and their peers."""
    peers_ready: str | None = None
    """Ready and desired peers, for example 3/3."""
    shards: ShardCounts | None = None
    """Replicas of all shards of all collections."""
    shards_sound: str | None = None
    """Sound and desired replicas, for example 24/24."""
    plan: tuple[str, ...] = ()
    """The next steps, in order."""
    planned: Annotated[int, Field(ge=0)] | None = None
    """Total number of planned steps."""
    blocked: tuple[Blocked, ...] = ()
    """Steps that a guard blocks."""
    bootstrap: Bootstrap | None = None
    """Record of the formation of the Raft cluster."""
    members: Annotated[tuple[Member, ...], Field(json_schema_extra=list_map("pod"))] = ()
    """Peers and their volumes; a lost volume is detected with this record."""
    leaving: Leaving | None = None
    """The peer that is being removed."""
    advice: tuple[Advice, ...] = ()
    """Settings that are not recommended for production."""
