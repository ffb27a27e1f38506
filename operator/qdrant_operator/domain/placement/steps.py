"""The steps of placement: transfers of shards, and replicas that are dropped. Their text is what users read."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class ReplicateShard:
    """Make one more replica of a shard on a peer that holds none; the source keeps its own."""

    shard: ShardRef
    source: PeerId
    target: PeerId
    method: str
    pods: tuple[str, str]
    """Names of source and target, for the text."""
    bytes: int
    why: str

    def __str__(self) -> str:
        return f"replicate {label(self.shard)} from {self.pods[0]} to {self.pods[1]} ({self.why})"


@dataclass(frozen=True, slots=True)
class MoveShard:
    """Move a replica to a peer that holds none of the shard."""

    shard: ShardRef
    source: PeerId
    target: PeerId
    method: str
    pods: tuple[str, str]
    """Names of source and target, for the text."""
    bytes: int
    why: str

    def __str__(self) -> str:
        return f"move {label(self.shard)} from {self.pods[0]} to {self.pods[1]} ({self.why})"


@dataclass(frozen=True, slots=True)
class DropReplica:
    """Delete a replica that is one too many, or worth nothing."""

    shard: ShardRef
    peer: PeerId
    pod: str
    why: str

    def __str__(self) -> str:
        return f"drop {label(self.shard)} on {self.pod} ({self.why})"


@dataclass(frozen=True, slots=True)
class AbortTransfer:
    """End a transfer that leads nowhere wanted."""

    shard: ShardRef
    source: PeerId
    target: PeerId
    pods: tuple[str, str]
    """Names of source and target, for the text."""
    why: str

    def __str__(self) -> str:
        return f"abort the transfer of {label(self.shard)} from {self.pods[0]} to {self.pods[1]} ({self.why})"


PlacementStep = ReplicateShard | MoveShard | DropReplica | AbortTransfer
"""What placement can do."""
PlacementPlan = Plan[PlacementStep]


def label(shard: ShardRef) -> str:
    """A shard as users read it: collection/shard."""
    return f"{shard[0]}/{shard[1]}"
