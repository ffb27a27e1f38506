"""Which transfers may start now: within the cluster's budget, each peer's in and out, and every volume's room.

The budget is a small value that remembers what it gave out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.placement.classify import DISK_DENOMINATOR, DISK_NUMERATOR, Census, fits
from qdrant_operator.domain.placement.model import Layout, Policy
from qdrant_operator.domain.placement.next_step import Copy
from qdrant_operator.domain.placement.steps import MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId

CLUSTER_FIELD = "spec.shards.transfers.perCluster"
PEER_FIELD = "spec.shards.transfers.perPeer"


class Budget:
    """Transfers that run and that were granted in this plan."""

    def __init__(self, layout: Layout, policy: Policy, census: Census) -> None:
        self._policy, self._census = policy, census
        self._out = Counter(transfer.source for transfer in layout.transfers)
        self._in = Counter(transfer.target for transfer in layout.transfers)
        self._running = len(layout.transfers)
        sizes = {shard.ref: shard.bytes for shard in layout.shards} if layout.transfers else {}
        self._reserved: Counter[PeerId] = Counter()
        for transfer in layout.transfers:
            self._reserve(transfer.target, sizes.get(transfer.ref, 0))

    def grant(self, copy: Copy) -> ReplicateShard | MoveShard | Blocked:
        """The step, or one that is as good, when it may start now; else why not."""
        refused = self._refusal(copy, self._source(copy))
        if refused is None:
            return self._begin(copy)
        other = next((one for one in copy.instead if self._refusal(one, self._source(one)) is None), None)
        return (
            Blocked(str(self._step(copy, self._source(copy))), *refused)
            if other is None
            else self._begin(other)
        )

    def _source(self, copy: Copy) -> PeerId:
        return min(copy.sources, key=lambda peer: (self._out[peer], peer))

    def _begin(self, copy: Copy) -> ReplicateShard | MoveShard:
        source = self._source(copy)
        self._running += 1
        self._out[source] += 1
        self._in[copy.target] += 1
        self._reserve(copy.target, copy.case.shard.bytes)
        return self._step(copy, source)

    def _refusal(self, copy: Copy, source: PeerId) -> tuple[ClusterGuard, str] | None:
        policy, pod = self._policy, self._census.pod
        if self._running >= policy.per_cluster:
            limit = policy.per_cluster
            return (
                ClusterGuard.TRANSFER_BUDGET,
                f"{self._running} of {limit} transfers run in the cluster ({CLUSTER_FIELD})",
            )
        if self._in[copy.target] >= policy.per_peer:
            given = f"{self._in[copy.target]} of {policy.per_peer}"
            return (
                ClusterGuard.TRANSFER_BUDGET,
                f"{pod(copy.target)} already receives {given} transfers ({PEER_FIELD})",
            )
        if self._out[source] >= policy.per_peer:
            given = f"{self._out[source]} of {policy.per_peer}"
            return (
                ClusterGuard.TRANSFER_BUDGET,
                f"{pod(source)} already sends {given} transfers ({PEER_FIELD})",
            )
        return self._no_room(copy)

    def _no_room(self, copy: Copy) -> tuple[ClusterGuard, str] | None:
        peer = self._census.peers[copy.target]
        if peer.free_bytes is None:
            return None
        free = peer.free_bytes - self._reserved[copy.target]
        if fits(free, copy.case.shard.bytes):
            return None
        need = copy.case.shard.bytes * DISK_NUMERATOR // DISK_DENOMINATOR
        left = f"{peer.pod} has {free} bytes left beside running transfers"
        message = (
            f"{left}; {copy.case.shard.label} needs more than {need}: it waits for them, or for more peers"
        )
        return ClusterGuard.NOT_ENOUGH_DISK, message

    def _reserve(self, peer: PeerId, size: int) -> None:
        self._reserved[peer] += size * DISK_NUMERATOR // DISK_DENOMINATOR

    def _step(self, copy: Copy, source: PeerId) -> ReplicateShard | MoveShard:
        kind = MoveShard if copy.moves else ReplicateShard
        pods = (self._census.pod(source), self._census.pod(copy.target))
        shard = copy.case.shard
        return kind(shard.ref, source, copy.target, str(self._policy.method), pods, shard.bytes, copy.why)


def without_limits(policy: Policy) -> Policy:
    """The same policy, with a budget for everything at once."""
    return replace(policy, per_cluster=1 << 60, per_peer=1 << 60)
