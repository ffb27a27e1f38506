"""The usual method, for comparison: from the fullest peer to the emptiest, until all are about equally full.

It knows the whole number of replicas of each peer and nothing of collections, zones or bytes. Like ours it never
puts two replicas of a shard on one peer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bench.placement.moves import Holders, Transfer, holders, staying
from qdrant_operator.domain.placement.model import Layout, Shard
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(slots=True)
class Greedy:
    """A placement while it is computed."""

    shards: dict[ShardRef, Shard]
    peers: dict[PeerId, str]
    found: Holders
    held: dict[PeerId, list[ShardRef]]
    counts: Counter[PeerId]
    moved: list[Transfer]

    def copy(self, shard: ShardRef, source: PeerId, target: PeerId) -> None:
        """One transfer."""
        self.moved.append(Transfer(shard, source, target, self.shards[shard].bytes))
        self.found[shard].add(target)
        self.held[target].append(shard)
        self.counts[target] += 1

    def drop(self, shard: ShardRef, peer: PeerId) -> None:
        """The source of a move drops its replica."""
        self.found[shard].discard(peer)
        self.held[peer].remove(shard)
        self.counts[peer] -= 1

    def emptiest(self, shard: ShardRef) -> PeerId:
        """The emptiest peer that stays and does not hold the shard."""
        return min(self.peers.keys() - self.found[shard], key=lambda peer: (self.counts[peer], peer))


def greedy(layout: Layout) -> tuple[list[Transfer], Holders]:
    """Repair, drain, balance; the transfers in order, and who holds what afterwards."""
    plan = _begin(layout)
    for shard in layout.shards:
        while len(plan.found[shard.ref]) < min(shard.factor, len(plan.peers)):
            plan.copy(shard.ref, min(plan.found[shard.ref]), plan.emptiest(shard.ref))
    for peer in sorted(plan.held.keys() - plan.peers.keys()):
        for ref in list(plan.held[peer]):
            plan.copy(ref, peer, plan.emptiest(ref))
            plan.drop(ref, peer)
    while _balance(plan):
        pass
    return plan.moved, plan.found


def _begin(layout: Layout) -> Greedy:
    found = holders(layout)
    held: dict[PeerId, list[ShardRef]] = {peer.id: [] for peer in layout.peers}
    for ref, peers in found.items():
        for peer in peers:
            held[peer].append(ref)
    counts = Counter({peer: len(refs) for peer, refs in held.items()})
    return Greedy({shard.ref: shard for shard in layout.shards}, staying(layout), found, held, counts, [])


def _balance(plan: Greedy) -> bool:
    """One move; False when no two peers differ by more than one, or nothing fits."""
    fullest = max(plan.peers, key=lambda peer: (plan.counts[peer], -peer))
    emptiest = min(plan.peers, key=lambda peer: (plan.counts[peer], peer))
    if plan.counts[fullest] - plan.counts[emptiest] <= 1:
        return False
    ref = next((ref for ref in plan.held[fullest] if emptiest not in plan.found[ref]), None)
    if ref is None:
        return False
    plan.copy(ref, fullest, emptiest)
    plan.drop(ref, fullest)
    return True
