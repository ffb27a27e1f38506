"""The steps of placement: transfers of shards, aborted transfers and dropped replicas; users read their text."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class ReplicateShard:
    """Create another replica of a shard on a peer that holds none; the source keeps its own."""

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
    """Delete a replica that is surplus, or not usable."""

    shard: ShardRef
    peer: PeerId
    pod: str
    why: str

    def __str__(self) -> str:
        return f"drop {label(self.shard)} on {self.pod} ({self.why})"


@dataclass(frozen=True, slots=True)
class AbortTransfer:
    """Abort a transfer whose target may not hold the shard, or whose source is lost."""

    shard: ShardRef
    source: PeerId
    target: PeerId
    pods: tuple[str, str]
    """Names of source and target, for the text."""
    why: str

    def __str__(self) -> str:
        return f"abort the transfer of {label(self.shard)} from {self.pods[0]} to {self.pods[1]} ({self.why})"


PlacementStep = ReplicateShard | MoveShard | DropReplica | AbortTransfer
"""Any step of placement."""
PlacementPlan = Plan[PlacementStep]


def label(shard: ShardRef) -> str:
    """A shard as users read it: collection/shard."""
    return f"{shard[0]}/{shard[1]}"
