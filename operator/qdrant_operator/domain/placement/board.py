"""The placement in the making: who holds what, and how full everybody is.

Mutable, and never leaves the computation of one target. Choosing the best peer for a replica must not look at
every peer: heaps keep peers ordered by how full they are, and an entry that is out of date is put right when it
comes up.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable

from qdrant_operator.domain.placement.census import Case, Census, GroupKey
from qdrant_operator.domain.soundness import ShardRef
from qdrant_operator.domain.values import PeerId

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
        self.there: dict[tuple[GroupKey, PeerId], dict[ShardRef, Case]] = defaultdict(dict)
        self._lanes: dict[GroupKey | None, dict[str, list[Fill]]] = {}
        self._one_lane = len(set(self.zone.values())) > MANY_ZONES

    def put(self, case: Case, peer: PeerId) -> None:
        """Let the peer hold a replica of the shard."""
        self._change(case, peer, 1)
        self.held.setdefault(case.shard.ref, set()).add(peer)
        self.there[case.group, peer][case.shard.ref] = case

    def take(self, case: Case, peer: PeerId) -> None:
        """Let the peer hold it no more."""
        self._change(case, peer, -1)
        self.held[case.shard.ref].discard(peer)
        del self.there[case.group, peer][case.shard.ref]
        for name in (case.group, None):
            if name in self._lanes:
                heapq.heappush(self._lanes[name][self._lane(peer)], self._fill(name, peer))

    def move(self, case: Case, source: PeerId, target: PeerId) -> None:
        """Let another peer hold it."""
        self.take(case, source)
        self.put(case, target)

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
        shard, home = case.shard, (*case.stays, *case.coming)
        if peer in home:
            return True
        taken = any(transfer.source == peer for transfer in case.running)
        allowed = shard.allowed is None or peer in shard.allowed
        return not taken and allowed and self.census.may_get(shard, peer)

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
        peers, counts = self.census.peers, self.counts[case.group]
        may = (peer for peer in self.total if peers[peer].answers and self.census.may_hold(case.shard, peer))
        return [counts.get(peer, 0) for peer in may]

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
        while heap and found is None and (name is not None or len(passed) < LOOK_AT):
            entry = heapq.heappop(heap)
            now = self._fill(name, entry[3])
            if now > entry:
                heapq.heappush(heap, now)
                continue
            passed[now] = None
            in_zone = zones.get(self.zone[entry[3]], 0) == level
            fresh = name is not None or not self.count(case, entry[3])
            found = now if in_zone and fresh and self.may_put(case, entry[3]) else None
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
        counts = self.counts[case.group]
        counts[peer] = counts.get(peer, 0) + by
        self.size[case.group] += by
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
