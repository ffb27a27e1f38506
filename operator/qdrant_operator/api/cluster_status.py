"""Status of a QdrantCluster: what is true of its peers and shards now.

No I/O here; `phase` is a display word that nothing may read back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import Blocked, Model, Status, list_map


class ClusterPhase(StrEnum):
    """One word for people; decisions read conditions and facts instead."""

    PENDING = "Pending"
    BOOTSTRAPPING = "Bootstrapping"
    READY = "Ready"
    UPDATING = "Updating"
    SCALING = "Scaling"
    DEGRADED = "Degraded"
    BLOCKED = "Blocked"
    DELETING = "Deleting"
    PAUSED = "Paused"


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


class Bootstrap(Model):
    """The record of how the Raft cluster was formed: written before the pods it speaks of exist."""

    phase: Literal["Started", "Formed", "Complete", "Adopted"]
    """Started: one pod may form it. Formed: it did. Complete: the others joined. Adopted: found running."""
    pod: str | None = None
    """The pod that was allowed to form the cluster."""
    peer_id: int | None = None
    """Its peer id, once known."""


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
    advice: tuple[Advice, ...] = ()
    """What production should not have."""
