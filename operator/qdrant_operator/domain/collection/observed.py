"""What a QdrantCollection asks for and what was seen of it: the values that its planner compares. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.ownership import Claims
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.common.kinds import Json
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, ShardId, ShardKey, Silent


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod of the cluster, and the peer that answers from it."""

    name: str
    ordinal: int
    peer: PeerId | None = None
    """None while it does not answer."""
    zone: str = ""
    """Value of its label spec.shards.zoneKey; empty where there is none."""


@dataclass(frozen=True, slots=True)
class KeySeen:
    """A shard key that some answering peer knows."""

    shards: int
    points: int | None
    """Points of its fullest replicas; None where not every replica of it could be counted."""
    holders: frozenset[PeerId] = frozenset()
    """Peers that any view calls a holder of one of its shards."""
    unsettled: str = ""
    """Why a shard of it is being transferred, or soon may be; empty: none is."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What one QdrantCollection asks for, and what Kubernetes knows about it."""

    name: str
    """Name in Qdrant."""
    owner: str
    """What marks a collection as this object's: namespace/name/uid."""
    spec: CollectionSpec
    claims: Claims = field(default_factory=Claims)
    granted: frozenset[str] = frozenset()
    """Aliases that this object has made: only these are deleted when the spec drops them."""
    granted_keys: frozenset[ShardKey] = frozenset()
    """Shard keys that this object has made or declared: only these are removed when the spec drops them."""
    wanted_peers: int = 1
    """`spec.replicas` of the QdrantCluster."""
    has_finalizer: bool = False
    """Whether the operator's finalizer is on the object."""
    deleting: bool = False
    """Whether the object is being deleted."""
    cluster_gone: bool = False
    """Whether the QdrantCluster is gone, being deleted, or never formed: nothing is left to clean up there."""
    paused: bool = False
    """Whether the QdrantCluster is paused: observe and report, write nothing."""

    def owns(self, collection: Live | Absent | Silent) -> bool:
        """Whether this object created or adopted the collection."""
        return isinstance(collection, Live) and collection.owner == self.owner


@dataclass(frozen=True, slots=True)
class Absent:
    """No peer that answers knows the collection."""


@dataclass(frozen=True, slots=True)
class Live:
    """The collection as Qdrant reports it."""

    config: Json
    indexes: Mapping[str, Json] = field(default_factory=dict)
    """`payload_schema`."""
    points: int = 0
    indexed_vectors: int = 0
    segments: int = 0
    status: str = "green"
    optimizer: str = "ok"
    """ok, or the optimizer's error."""
    unaware: int = 0
    """Peers that answer and do not know the collection (yet)."""

    @property
    def owner(self) -> str | None:
        """Who has marked the collection."""
        mark = (self.config.get("metadata") or {}).get(OWNER_KEY)
        return None if mark is None else str(mark)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster's peers say."""

    collection: Live | Absent | Silent
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Alias, and the collection it names; all of the cluster's."""
    collections: frozenset[str] = frozenset()
    """Names of all collections of the cluster."""
    members: int = 1
    """Peers in consensus."""
    answering: int = 1
    """Peers that answer."""
    shards: tuple[ShardHealth, ...] = ()
    """Health of this collection's shards."""
    targets: frozenset[tuple[ShardId, PeerId]] = frozenset()
    """Shards, and peers that a running transfer brings them to."""
    keys: Mapping[ShardKey, KeySeen] = field(default_factory=dict)
    """Shard keys of this collection."""
    pods: tuple[PodSeen, ...] = ()
    """The cluster's pods, by ordinal."""
    building: frozenset[str] = frozenset()
    """Payload fields whose index was asked for a moment ago."""

    def expected_peers(self, desired: Desired) -> int:
        """Peers that Qdrant places new shards on: those in consensus, and those still to join."""
        return max(self.members, desired.wanted_peers)
