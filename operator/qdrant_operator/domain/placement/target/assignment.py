"""The placement in the making: who holds what, and how full everybody is.

Mutable, and never leaves the computation of one target. Choosing the best peer for a replica must not look at
every peer: heaps keep peers ordered by how full they are, and an entry that is out of date is put right when it
comes up.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from qdrant_operator.domain.placement.classify import Case, Census, GroupKey
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

MANY_ZONES = 16
"""With more zones than this one heap serves them all: few peers share a zone then, so few are passed over."""
SMALL_GROUP = 8
"""A group with fewer replicas than an eighth of the peers shares one heap: most peers hold none of it."""
LOOK_AT = 64
"""Peers that are passed over before the search gives up in a shared heap and looks at every peer once."""

Fill = tuple[int, int, int, PeerId]
"""How full a peer is for a group: its replicas of the group, all its replicas, its bytes, its id."""


class Board:
    """Holders of every shard among eligible peers, with counts per group, peer and zone."""

    def __init__(self, census: Census) -> None:
        self.census = census
        self.zone = {peer: census.peers[peer].zone for peer in census.eligible}
        self.held: dict[ShardRef, set[PeerId]] = {}
        self.counts: dict[GroupKey, dict[PeerId, int]] = defaultdict(dict)
        self.size: dict[GroupKey, int] = defaultdict(int)
        self.total: dict[PeerId, int] = dict.fromkeys(census.eligible, 0)
        self.bytes: dict[PeerId, int] = dict.fromkeys(census.eligible, 0)
        self._answering = [peer for peer in census.eligible if census.peers[peer].answers]
        self._there: dict[tuple[GroupKey, PeerId], dict[ShardRef, Case]] | None = None
        self._lanes: dict[GroupKey | None, dict[str, list[Fill]]] = {}
        self._one_lane = len(set(self.zone.values())) > MANY_ZONES

    def seat(self, case: Case, peers: Collection[PeerId]) -> None:
        """Who holds the shard before anything is changed; once for every shard."""
        self.held[case.shard.ref] = set(peers)
        for peer in peers:
            self._change(case, peer, 1)

    def put(self, case: Case, peer: PeerId) -> None:
        """Let the peer hold a replica of the shard."""
        self._change(case, peer, 1)
        self.held[case.shard.ref].add(peer)
        if self._there is not None:
            self._there[case.group, peer][case.shard.ref] = case

    def take(self, case: Case, peer: PeerId) -> None:
        """Let the peer hold it no more."""
        self._change(case, peer, -1)
        self.held[case.shard.ref].discard(peer)
        if self._there is not None:
            del self._there[case.group, peer][case.shard.ref]
        for name in (case.group, None):
            if name in self._lanes:
                heapq.heappush(self._lanes[name][self._lane(peer)], self._fill(name, peer))

    def move(self, case: Case, source: PeerId, target: PeerId) -> None:
        """Let another peer hold it."""
        self.take(case, source)
        self.put(case, target)

    @property
    def there(self) -> Mapping[tuple[GroupKey, PeerId], Mapping[ShardRef, Case]]:
        """Shards by group and holder; made when it is first asked for, as settled groups never are."""
        if self._there is None:
            self._there = defaultdict(dict)
            for case in self.census.cases:
                for peer in self.held[case.shard.ref]:
                    self._there[case.group, peer][case.shard.ref] = case
        return self._there

    def count(self, case: Case, peer: PeerId) -> int:
        """Replicas of the shard's group on the peer."""
        return self.counts[case.group].get(peer, 0)

    def in_zone(self, case: Case, zone: str, without: PeerId | None = None) -> int:
        """Replicas of the shard in a zone."""
        return sum(1 for peer in self.held[case.shard.ref] if peer != without and self.zone[peer] == zone)

    def may_put(self, case: Case, peer: PeerId) -> bool:
        """The peer may get a replica of the shard, and holds none in any view."""
        if peer in self.held[case.shard.ref]:
            return False
        if peer in case.stays or peer in case.coming:
            return True
        if case.running and any(transfer.source == peer for transfer in case.running):
            return False
        shard = case.shard
        return (shard.allowed is None or peer in shard.allowed) and self.census.may_get(shard, peer)

    def best(self, case: Case, most: int | None = None, without: PeerId | None = None) -> PeerId | None:
        """Where another replica belongs: the zone with fewest of the shard, then the peer that is least full.

        `without` is the replica that it replaces; `most` is how many replicas of the group, at most, the peer may
        hold before.
        """
        zones = self._zone_counts(case, without)
        for level in sorted(set(zones.values()) | {0}):
            found = self._least_full(case, zones, level, most)
            if found is not None:
                return found
        return None

    def receiving(self, case: Case) -> list[int]:
        """Replicas of the shard's group on each peer that answers and may hold the shard."""
        counts, allowed = self.counts[case.group], case.shard.allowed
        return [counts.get(peer, 0) for peer in self._answering if allowed is None or peer in allowed]

    def _zone_counts(self, case: Case, without: PeerId | None) -> dict[str, int]:
        counted: dict[str, int] = {}
        for peer in self.held[case.shard.ref]:
            if peer != without:
                counted[self.zone[peer]] = counted.get(self.zone[peer], 0) + 1
        return counted

    def _least_full(self, case: Case, zones: dict[str, int], level: int, most: int | None) -> PeerId | None:
        shared = self.size[case.group] * SMALL_GROUP < len(self.total)
        found = self._from_heap(case, None if shared else case.group, zones, level)
        if found is None and shared:
            found = self._from_all(case, zones, level)
        return None if found is None or (most is not None and self.count(case, found) > most) else found

    def _from_heap(
        self, case: Case, name: GroupKey | None, zones: dict[str, int], level: int
    ) -> PeerId | None:
        """The least full peer; in the heap that groups share, only among those that hold none of the group."""
        lanes = self._lanes.get(name) or self._open(name)
        right = [lane for lane in lanes if self._one_lane or zones.get(lane, 0) == level]
        tops = (self._first(case, name, lane, zones, level) for lane in right)
        found = min((top for top in tops if top is not None), default=None)
        return None if found is None else found[3]

    def _from_all(self, case: Case, zones: dict[str, int], level: int) -> PeerId | None:
        fitting = (p for p in self.total if zones.get(self.zone[p], 0) == level and self.may_put(case, p))
        found = min((self._fill(case.group, peer) for peer in fitting), default=None)
        return None if found is None else found[3]

    def _first(
        self, case: Case, name: GroupKey | None, lane: str, zones: dict[str, int], level: int
    ) -> Fill | None:
        heap, passed, found = self._lanes[name][lane], dict[Fill, None](), None
        while heap and (name is not None or len(passed) < LOOK_AT):
            entry = heap[0]
            now = self._fill(name, entry[3])
            if now != entry:
                heapq.heapreplace(heap, now)
            if now > entry:
                continue
            in_zone = zones.get(self.zone[now[3]], 0) == level
            if in_zone and (name is not None or not self.count(case, now[3])) and self.may_put(case, now[3]):
                found = now
                break
            passed[heapq.heappop(heap)] = None
        for entry in passed:
            heapq.heappush(heap, entry)
        return found

    def _open(self, name: GroupKey | None) -> dict[str, list[Fill]]:
        lanes: dict[str, list[Fill]] = {}
        for peer in self.total:
            lanes.setdefault(self._lane(peer), []).append(self._fill(name, peer))
        for heap in lanes.values():
            heapq.heapify(heap)
        self._lanes[name] = lanes
        return lanes

    def _lane(self, peer: PeerId) -> str:
        return "" if self._one_lane else self.zone[peer]

    def _fill(self, name: GroupKey | None, peer: PeerId) -> Fill:
        count = 0 if name is None else self.counts[name].get(peer, 0)
        return (count, self.total[peer], self.bytes[peer], peer)

    def _change(self, case: Case, peer: PeerId, by: int) -> None:
        group = case.group
        counts = self.counts[group]
        counts[peer] = counts.get(peer, 0) + by
        self.size[group] += by
        self.total[peer] += by
        self.bytes[peer] += by * case.shard.bytes


def fullest(board: Board, case: Case, peers: Iterable[PeerId]) -> PeerId:
    """The holder whose replica is worth least: its zone has others, and it is the fullest."""
    return max(
        peers,
        key=lambda peer: (
            board.in_zone(case, board.zone[peer]),
            board.count(case, peer),
            board.total[peer],
            board.bytes[peer],
            peer,
        ),
    )
