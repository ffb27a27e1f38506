"""What placement is decided on: peers, shards and running transfers as plain, fast values.

No I/O. A `Layout` is one agreed view of the cluster: what peers contradict each other about is in `Shard.disputed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, ShardKey


class Mode(StrEnum):
    """spec.shards.placement: how much the operator may move by its own decision."""

    AUTO = "Auto"
    """Repair, drain, replicate and balance."""
    DRAIN_ONLY = "DrainOnly"
    """Repair, drain and replicate; never balance."""
    MANUAL = "Manual"
    """Nothing moves; status.blocked lists what Auto would do."""


class Method(StrEnum):
    """How Qdrant copies a shard (spec.shards.transfers.method)."""

    SNAPSHOT = "snapshot"
    STREAM_RECORDS = "stream_records"
    WAL_DELTA = "wal_delta"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer of the cluster, as placement sees it."""

    id: PeerId
    pod: str
    """Name of its pod, for messages; `peer <id>` where no pod is known."""
    answers: bool = True
    """Its own view was read in this pass."""
    leaving: bool = False
    """It is being removed: it is drained and receives nothing."""
    lost: bool = False
    """Its volume is gone and its replacement is allowed: its replicas do not count."""
    zone: str = ""
    """Failure domain; empty where none is known."""
    free_bytes: int | None = None
    """Free space of its volume; None: unknown, and not checked."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy of a shard on one peer."""

    peer: PeerId
    state: ReplicaState
    """The least healthy state that any answering view gives it."""
    sound: bool
    """Active in every answering view, on a peer that answers, with a plausible count."""
    stale: bool = False
    """Not sound for so long, without a transfer, that Qdrant will not heal it: it is dropped and recreated."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a collection, with all its replicas."""

    ref: ShardRef
    """Collection and shard id."""
    factor: int
    """Sound replicas wanted."""
    replicas: tuple[Replica, ...]
    """Every holder that any view names, ordered by peer id."""
    bytes: int = 0
    """Size of its largest sound replica."""
    key: ShardKey | None = None
    """Shard key, with custom sharding; shards of a key are balanced among themselves."""
    allowed: frozenset[PeerId] | None = None
    """Peers that may hold it (placement of its shard key); None: all."""
    disputed: str = ""
    """Why no destructive step may be planned for it now: views contradict each other, or resharding runs."""

    @property
    def collection(self) -> str:
        """Name of its collection."""
        return self.ref[0]

    @property
    def label(self) -> str:
        """The shard in messages: collection/shard."""
        return f"{self.ref[0]}/{self.ref[1]}"

    @property
    def holders(self) -> frozenset[PeerId]:
        """Peers that hold a replica in any view."""
        return frozenset(replica.peer for replica in self.replicas)

    @property
    def sound(self) -> frozenset[PeerId]:
        """Peers whose replica is sound."""
        return frozenset(replica.peer for replica in self.replicas if replica.sound)


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """A transfer that any view lists."""

    collection: str
    shard: ShardId
    source: PeerId
    target: PeerId
    keeps_source: bool
    """True: it replicates; False: it moves."""

    @property
    def ref(self) -> ShardRef:
        """Collection and shard id."""
        return (self.collection, self.shard)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the spec allows (spec.shards)."""

    mode: Mode = Mode.AUTO
    per_cluster: int = 2
    """Transfers at a time in the whole cluster."""
    per_peer: int = 1
    """Transfers at a time into one peer, and out of one peer."""
    method: Method = Method.SNAPSHOT
    may_balance: bool = True
    """Inside the maintenance window, or there is none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A cluster's peers and shards at one time."""

    peers: tuple[Peer, ...]
    """Ordered by id."""
    shards: tuple[Shard, ...]
    """Ordered by collection and shard id."""
    transfers: tuple[RunningTransfer, ...] = ()
    unsettled: str = ""
    """Why no step may be planned at all: no leader with a quorum, consensus stopped or behind. Empty: steps may."""
    waits: frozenset[tuple[ShardRef, PeerId]] = field(default=frozenset())
    """Shards and targets whose last transfer was aborted recently: another target is chosen, or they wait."""
