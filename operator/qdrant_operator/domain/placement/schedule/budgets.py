"""Which transfers may start now, within the budgets of the cluster and of each peer and the room on each volume.

A `Budget` belongs to one plan and counts what it granted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.placement.classify import DISK_DENOMINATOR, DISK_NUMERATOR, Classification, fits
from qdrant_operator.domain.placement.model import Layout, Policy
from qdrant_operator.domain.placement.next_step import Copy
from qdrant_operator.domain.placement.steps import MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId

CLUSTER_FIELD = "spec.shards.transfers.perCluster"
PEER_FIELD = "spec.shards.transfers.perPeer"


class Budget:
    """Transfers that run already, and those granted in this plan."""

    def __init__(self, layout: Layout, policy: Policy, classification: Classification) -> None:
        self._policy, self._classification = policy, classification
        self._out = Counter(transfer.source for transfer in layout.transfers)
        self._in = Counter(transfer.target for transfer in layout.transfers)
        self._running = len(layout.transfers)
        sizes = {shard.ref: shard.bytes for shard in layout.shards} if layout.transfers else {}
        self._reserved: Counter[PeerId] = Counter()
        for transfer in layout.transfers:
            self._reserve(transfer.target, sizes.get(transfer.ref, 0))

    def grant(self, copy: Copy) -> ReplicateShard | MoveShard | Blocked:
        """The step, or an alternative to it, if it may start now; else why not."""
        refused = self._refusal(copy, self._source(copy))
        if refused is None:
            return self._begin(copy)
        for alternative in copy.alternatives:
            if self._refusal(alternative, self._source(alternative)) is None:
                return self._begin(alternative)
        return Blocked(str(self._step(copy, self._source(copy))), *refused)

    def _source(self, copy: Copy) -> PeerId:
        return min(copy.sources, key=lambda peer: (self._out[peer], peer))

    def _begin(self, copy: Copy) -> ReplicateShard | MoveShard:
        source = self._source(copy)
        self._running += 1
        self._out[source] += 1
        self._in[copy.target] += 1
        self._reserve(copy.target, copy.replicas.shard.bytes)
        return self._step(copy, source)

    def _refusal(self, copy: Copy, source: PeerId) -> tuple[ClusterGuard, str] | None:
        used_up = self._used_up(copy.target, source)
        return (ClusterGuard.TRANSFER_BUDGET, used_up) if used_up else self._no_room(copy)

    def _used_up(self, target: PeerId, source: PeerId) -> str:
        """Which budget has no transfer left; empty: none."""
        policy, pod = self._policy, self._classification.pod
        if self._running >= policy.per_cluster:
            return f"{self._running} of {policy.per_cluster} transfers run in the cluster ({CLUSTER_FIELD})"
        if self._in[target] >= policy.per_peer:
            received = f"{self._in[target]} of {policy.per_peer}"
            return f"{pod(target)} already receives {received} transfers ({PEER_FIELD})"
        if self._out[source] >= policy.per_peer:
            sent = f"{self._out[source]} of {policy.per_peer}"
            return f"{pod(source)} already sends {sent} transfers ({PEER_FIELD})"
        return ""

    def _no_room(self, copy: Copy) -> tuple[ClusterGuard, str] | None:
        peer = self._classification.peers[copy.target]
        if peer.free_bytes is None:
            return None
        free, shard = peer.free_bytes - self._reserved[copy.target], copy.replicas.shard
        if fits(free, shard.bytes):
            return None
        need = shard.bytes * DISK_NUMERATOR // DISK_DENOMINATOR
        left = (
            f"{peer.pod} has {free} bytes free beside running transfers, {shard.label} needs more than {need}"
        )
        return ClusterGuard.NOT_ENOUGH_DISK, f"{left}: waiting for these transfers, or add peers"

    def _reserve(self, peer: PeerId, size: int) -> None:
        self._reserved[peer] += size * DISK_NUMERATOR // DISK_DENOMINATOR

    def _step(self, copy: Copy, source: PeerId) -> ReplicateShard | MoveShard:
        kind = MoveShard if copy.moves else ReplicateShard
        pods = (self._classification.pod(source), self._classification.pod(copy.target))
        shard = copy.replicas.shard
        return kind(shard.ref, source, copy.target, str(self._policy.method), pods, shard.bytes, copy.why)


def without_limits(policy: Policy) -> Policy:
    """The same policy, with a budget for all transfers at once."""
    return replace(policy, per_cluster=1 << 60, per_peer=1 << 60)
