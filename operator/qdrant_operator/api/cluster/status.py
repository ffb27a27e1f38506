"""Status of a QdrantCluster: what is true of its peers and shards now.

No I/O here; `phase` is a display word that nothing may read back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import Blocked, Model, Status, Time, list_map


class ClusterPhase(StrEnum):
    """One word for people; decisions read conditions and facts instead."""

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
    """Where applications find the cluster."""

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
    """What is known of the peer, in one word."""
    version: str | None = None
    """Qdrant release that the peer runs."""
    zone: str | None = None
    """Its zone, where spec.shards.zoneKey names the label."""
    shards: Annotated[int, Field(ge=0)] | None = None
    """Replicas of shards that the peer holds."""
    points: Annotated[int, Field(ge=0)] | None = None
    """Points in these replicas."""
    bytes: Annotated[int, Field(ge=0)] | None = None
    """Vectors and payloads in these replicas, in bytes."""


class ShardCounts(Model):
    """Replicas of all shards of all collections."""

    wanted: Annotated[int, Field(ge=0)] = 0
    """Replicas that the collections ask for."""
    sound: Annotated[int, Field(ge=0)] = 0
    """Replicas that are active, on a peer that answers, and complete."""
    dead: Annotated[int, Field(ge=0)] = 0
    """Replicas that some peer says are dead."""
    transfers: Annotated[int, Field(ge=0)] = 0
    """Shard transfers under way."""
    imbalance: Annotated[int, Field(ge=0)] | None = None
    """Largest difference, in any collection or shard key, between the replicas of two peers; 0 or 1 is level."""


class Bootstrap(Model):
    """The record of how the Raft cluster was formed: written before the pods it speaks of exist."""

    phase: Literal["Started", "Formed", "Complete", "Adopted"]
    """Started: one pod may form it. Formed: it did. Complete: the others joined. Adopted: found running."""
    pod: str | None = None
    """The pod that was allowed to form the cluster."""
    peer_id: int | None = None
    """Its peer id, once known."""


class Member(Model):
    """Which peer lives on which volume."""

    pod: str
    """Name of the pod."""
    peer_id: int
    """Id of the peer in consensus."""
    claim_uid: str
    """Uid of the volume claim that holds the peer's data."""
    lost_since: Time | None = None
    """Since when the pod has another or an empty volume, while its peer is still a member that does not answer."""


class Leaving(Model):
    """The peer that is being removed: written before it is acted upon."""

    pod: str
    """Name of the pod."""
    peer_id: int | None = None
    """Id of the peer; absent where it never joined."""
    claim_uid: str = ""
    """Uid of its volume claim; empty where there is none."""
    phase: Literal["Removing", "Removed"]
    """Removing: it holds nothing and is taken out of consensus. Removed: its pod and its volume go."""


class Advice(Model):
    """Something that works, and that production should not have."""

    reason: str
    """One CamelCase word."""
    message: str
    """What was seen, and what to do."""


class ClusterStatus(Status):
    """What is true of the cluster now."""

    phase: ClusterPhase | None = None
    """One word for people; wait for the condition Ready instead."""
    version: str | None = None
    """Qdrant release that all answering peers run at least."""
    highest_version: str | None = None
    """Highest Qdrant release that ever ran; nothing lowers it but a downgrade that was allowed."""
    leader: str | None = None
    """Pod of the peer that leads consensus."""
    endpoint: Endpoints | None = None
    """Where applications find the cluster."""
    peers: Annotated[tuple[PeerStatus, ...], Field(json_schema_extra=list_map("pod"))] = ()
    """The pods and their peers."""
    peers_ready: str | None = None
    """Ready peers of wanted peers, for example 3/3."""
    shards: ShardCounts | None = None
    """Replicas of all shards of all collections."""
    shards_sound: str | None = None
    """Sound replicas of wanted replicas, for example 24/24."""
    plan: tuple[str, ...] = ()
    """The first steps that will be taken."""
    planned: Annotated[int, Field(ge=0)] | None = None
    """How many steps will be taken in all."""
    blocked: tuple[Blocked, ...] = ()
    """Steps that a guard holds back."""
    bootstrap: Bootstrap | None = None
    """The record of how the Raft cluster was formed."""
    members: Annotated[tuple[Member, ...], Field(json_schema_extra=list_map("pod"))] = ()
    """Which peer lives on which volume; a lost volume is known by it."""
    leaving: Leaving | None = None
    """The peer that is being removed."""
    advice: tuple[Advice, ...] = ()
    """What production should not have."""
