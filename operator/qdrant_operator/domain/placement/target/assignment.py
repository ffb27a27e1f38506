"""The assignment of replicas to peers while a target is computed, and how full each peer is.

Mutable; used only within the computation of one target. Choosing the best peer for a replica must not look at every
peer: heaps order peers by how full they are, and an outdated entry is corrected when it reaches the top.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from qdrant_operator.domain.placement.classify import Classification, GroupKey, ShardReplicas
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

MANY_ZONES = 16
"""With more zones than this, one heap serves all zones: few peers share a zone then, so few are skipped."""
SMALL_GROUP = 8
"""A group with fewer replicas than an eighth of the peers shares one heap: most peers hold none of it."""
MOST_SKIPPED = 64
"""Peers that are skipped in a shared heap before the search looks at every peer once instead."""

Fill = tuple[int, int, int, PeerId]
"""How full a peer is for a group: its replicas of the group, all its replicas, its bytes, its id."""


class Assignment:
    """Holders of every shard among eligible peers, with counts per group and peer."""

    def __init__(self, classification: Classification) -> None:
        self.classification = classification
        self.zone = {peer: classification.peers[peer].zone for peer in classification.eligible}
        self.held: dict[ShardRef, set[PeerId]] = {}
        self.counts: dict[GroupKey, dict[PeerId, int]] = defaultdict(dict)
        self.size: dict[GroupKey, int] = defaultdict(int)
        self.total: dict[PeerId, int] = dict.fromkeys(classification.eligible, 0)
        self.bytes: dict[PeerId, int] = dict.fromkeys(classification.eligible, 0)
        self._answering = [peer for peer in classification.eligible if classification.peers[peer].answers]
        self._by_holder: dict[tuple[GroupKey, PeerId], dict[ShardRef, ShardReplicas]] | None = None
        self._heaps: dict[GroupKey | None, dict[str, list[Fill]]] = {}
        self._one_heap = len(set(self.zone.values())) > MANY_ZONES

    def assign(self, replicas: ShardReplicas, peers: Collection[PeerId]) -> None:
        """Set who holds the shard before anything is changed; once for every shard."""
        self.held[replicas.shard.ref] = set(peers)
        for peer in peers:
            self._change(replicas, peer, 1)

    def add(self, replicas: ShardReplicas, peer: PeerId) -> None:
        """Assign a replica of the shard to the peer."""
        self._change(replicas, peer, 1)
        self.held[replicas.shard.ref].add(peer)
        if self._by_holder is not None:
            self._by_holder[replicas.group, peer][replicas.shard.ref] = replicas

    def remove(self, replicas: ShardReplicas, peer: PeerId) -> None:
        """Remove the shard's replica from the peer."""
        self._change(replicas, peer, -1)
        self.held[replicas.shard.ref].discard(peer)
        if self._by_holder is not None:
            del self._by_holder[replicas.group, peer][replicas.shard.ref]
        for name in (replicas.group, None):
            if name in self._heaps:
                heapq.heappush(self._heaps[name][self._heap_of(peer)], self._fill(name, peer))

    def move(self, replicas: ShardReplicas, source: PeerId, target: PeerId) -> None:
        """Assign the source's replica to the target instead."""
        self.remove(replicas, source)
        self.add(replicas, target)

    @property
    def by_holder(self) -> Mapping[tuple[GroupKey, PeerId], Mapping[ShardRef, ShardReplicas]]:
        """Shards by group and holder; built on first use, as settled groups do not need it."""
        if self._by_holder is None:
            self._by_holder = defaultdict(dict)
            for replicas in self.classification.shards:
                for peer in self.held[replicas.shard.ref]:
                    self._by_holder[replicas.group, peer][replicas.shard.ref] = replicas
        return self._by_holder

    def count(self, replicas: ShardReplicas, peer: PeerId) -> int:
        """Replicas of the shard's group on the peer."""
        return self.counts[replicas.group].get(peer, 0)

    def in_zone(self, replicas: ShardReplicas, zone: str, without: PeerId | None = None) -> int:
        """Replicas of the shard in a zone."""
        return sum(1 for peer in self.held[replicas.shard.ref] if peer != without and self.zone[peer] == zone)

    def keeps_zones(self, replicas: ShardReplicas, source: PeerId, target: PeerId) -> bool:
        """A move between these peers spreads the shard over zones as well as before, or better."""
        here, there = self.zone[source], self.zone[target]
        return here == there or self.in_zone(replicas, there) < self.in_zone(replicas, here)

    def may_add(self, replicas: ShardReplicas, peer: PeerId) -> bool:
        """The peer may receive a replica of the shard, and holds none in any view."""
        if peer in self.held[replicas.shard.ref]:
            return False
        if peer in replicas.retained or peer in replicas.recovering:
            return True
        if replicas.running and any(transfer.source == peer for transfer in replicas.running):
            return False
        allowed = replicas.shard.allowed is None or peer in replicas.shard.allowed
        return allowed and self.classification.may_receive(replicas.shard, peer)

    def best(
        self, replicas: ShardReplicas, most: int | None = None, without: PeerId | None = None
    ) -> PeerId | None:
        """The best peer for another replica: in the zone with fewest of the shard, then the least full one.

        `without` is the replica that it replaces; `most` is how many replicas of the group the peer may at most
        hold before.
        """
        zones = self._zone_counts(replicas, without)
        for level in sorted(set(zones.values()) | {0}):
            found = self._least_full(replicas, zones, level, most)
            if found is not None:
                return found
        return None

    def receiving(self, replicas: ShardReplicas) -> list[int]:
        """Replicas of the shard's group on each peer that answers and may hold the shard."""
        counts, allowed = self.counts[replicas.group], replicas.shard.allowed
        return [counts.get(peer, 0) for peer in self._answering if allowed is None or peer in allowed]

    def _zone_counts(self, replicas: ShardReplicas, without: PeerId | None) -> dict[str, int]:
        counted: dict[str, int] = {}
        for peer in self.held[replicas.shard.ref]:
            if peer != without:
                counted[self.zone[peer]] = counted.get(self.zone[peer], 0) + 1
        return counted

    def _least_full(
        self, replicas: ShardReplicas, zones: dict[str, int], level: int, most: int | None
    ) -> PeerId | None:
        shared = self.size[replicas.group] * SMALL_GROUP < len(self.total)
        found = self._from_heap(replicas, None if shared else replicas.group, zones, level)
        if found is None and shared:
            found = self._from_all(replicas, zones, level)
        return None if found is None or (most is not None and self.count(replicas, found) > most) else found

    def _from_heap(
        self, replicas: ShardReplicas, name: GroupKey | None, zones: dict[str, int], level: int
    ) -> PeerId | None:
        """The least full peer; in the heap that groups share, only among peers that hold none of the group."""
        heaps = self._heaps.get(name) or self._build_heaps(name)
        usable = [zone for zone in heaps if self._one_heap or zones.get(zone, 0) == level]
        tops = (self._top(replicas, name, zone, zones, level) for zone in usable)
        found = min((top for top in tops if top is not None), default=None)
        return None if found is None else found[3]

    def _from_all(self, replicas: ShardReplicas, zones: dict[str, int], level: int) -> PeerId | None:
        fitting = (p for p in self.total if zones.get(self.zone[p], 0) == level and self.may_add(replicas, p))
        found = min((self._fill(replicas.group, peer) for peer in fitting), default=None)
        return None if found is None else found[3]

    def _top(
        self,
        replicas: ShardReplicas,
        name: GroupKey | None,
        heap_name: str,
        zones: dict[str, int],
        level: int,
    ) -> Fill | None:
        heap, skipped, found = self._heaps[name][heap_name], dict[Fill, None](), None
        while heap and (name is not None or len(skipped) < MOST_SKIPPED):
            entry = heap[0]
            now = self._fill(name, entry[3])
            if now != entry:
                heapq.heapreplace(heap, now)
            if now > entry:
                continue
            peer = now[3]
            fits = zones.get(self.zone[peer], 0) == level and (
                name is not None or not self.count(replicas, peer)
            )
            if fits and self.may_add(replicas, peer):
                found = now
                break
            skipped[heapq.heappop(heap)] = None
        for entry in skipped:
            heapq.heappush(heap, entry)
        return found

    def _build_heaps(self, name: GroupKey | None) -> dict[str, list[Fill]]:
        heaps: dict[str, list[Fill]] = {}
        for peer in self.total:
            heaps.setdefault(self._heap_of(peer), []).append(self._fill(name, peer))
        for heap in heaps.values():
            heapq.heapify(heap)
        self._heaps[name] = heaps
        return heaps

    def _heap_of(self, peer: PeerId) -> str:
        return "" if self._one_heap else self.zone[peer]

    def _fill(self, name: GroupKey | None, peer: PeerId) -> Fill:
        count = 0 if name is None else self.counts[name].get(peer, 0)
        return (count, self.total[peer], self.bytes[peer], peer)

    def _change(self, replicas: ShardReplicas, peer: PeerId, by: int) -> None:
        group = replicas.group
        counts = self.counts[group]
        counts[peer] = counts.get(peer, 0) + by
        self.size[group] += by
        self.total[peer] += by
        self.bytes[peer] += by * replicas.shard.bytes


def fullest(assignment: Assignment, replicas: ShardReplicas, peers: Iterable[PeerId]) -> PeerId:
    """The holder whose replica is needed least: its zone has most of the shard, then it is the fullest peer."""
    return max(
        peers,
        key=lambda peer: (
            assignment.in_zone(replicas, assignment.zone[peer]),
            assignment.count(replicas, peer),
            assignment.total[peer],
            assignment.bytes[peer],
            peer,
        ),
    )
