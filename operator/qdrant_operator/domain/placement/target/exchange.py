"""Shift new replicas among peers until they fill the gaps, before any replica moves that could stay.

A replica that has to be copied costs the same wherever it goes. So new replicas are shifted along chains of peers: one
peer's new replica takes the place of another's, and that one moves to the next peer, until the last arrives at a peer
that holds too few. Without this, zones force additional moves. It is done only where few replicas are new.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from qdrant_operator.domain.placement.classify import GroupKey, ShardReplicas
from qdrant_operator.domain.placement.target.assignment import Assignment
from qdrant_operator.domain.qdrant.views import PeerId

NEW_REPLICAS = 64
"""New replicas of a group up to which chains are searched: the work grows with their square."""

FAILED_SEARCHES = 4
"""Peers without a chain after which the search ends and balancing does the rest: each costs a whole search."""

Shift = tuple[ShardReplicas, PeerId, PeerId]
"""A new replica that is assigned to another peer: the shard, the peer so far, the peer now."""


def exchange_new_replicas(assignment: Assignment, shards: Iterable[ShardReplicas]) -> None:
    """Shift new replicas from peers that hold more to peers that hold fewer; no shard's zones get worse."""
    changed: dict[GroupKey, list[ShardReplicas]] = defaultdict(list)
    groups = {replicas.group: replicas for replicas in shards}
    for replicas in shards:
        if not assignment.held[replicas.shard.ref] <= {*replicas.retained, *replicas.recovering}:
            changed[replicas.group].append(replicas)
    for group, found in changed.items():
        if len(found) <= NEW_REPLICAS:
            _Exchange(assignment, groups[group], found).run()


class _Exchange:
    """The shifts of one group."""

    def __init__(self, assignment: Assignment, of: ShardReplicas, shards: list[ShardReplicas]) -> None:
        self._assignment, self._changed, self._counts = assignment, shards, assignment.counts[of.group]
        self._peers = [
            peer for peer in assignment.total if assignment.classification.may_hold(of.shard, peer)
        ]

    def run(self) -> None:
        """From the fullest peer first; each chain takes one replica off it."""
        given_up = set[PeerId]()
        while len(given_up) <= FAILED_SEARCHES:
            counts = {peer: self._counts.get(peer, 0) for peer in self._peers if peer not in given_up}
            source = max(counts, key=lambda peer: (counts[peer], peer), default=None)
            if source is None or counts[source] - min(self._counts.get(p, 0) for p in self._peers) < 2:
                return
            shifts = self._chain(source, self._counts[source] - 2)
            for replicas, start, end in reversed(shifts):
                self._assignment.move(replicas, start, end)
            if not shifts:
                given_up.add(source)

    def _chain(self, source: PeerId, most: int) -> list[Shift]:
        """The shortest chain from this peer to one that holds at most `most` replicas of the group."""
        reached_by: dict[PeerId, Shift | None] = {source: None}
        queue = deque([source])
        while queue:
            for shift in self._shifts(queue.popleft()):
                peer = shift[2]
                if peer in reached_by or any(shift[0] is other[0] for other in _path(reached_by, shift[1])):
                    continue
                reached_by[peer] = shift
                if self._counts.get(peer, 0) <= most:
                    return _path(reached_by, peer)
                queue.append(peer)
        return []

    def _shifts(self, start: PeerId) -> Iterator[Shift]:
        assignment = self._assignment
        for replicas in self._changed:
            held = start in assignment.held[replicas.shard.ref]
            if not held or start in replicas.retained or start in replicas.recovering:
                continue
            for end in self._peers:
                if assignment.may_add(replicas, end) and assignment.keeps_zones(replicas, start, end):
                    yield replicas, start, end


def _path(reached_by: dict[PeerId, Shift | None], peer: PeerId) -> list[Shift]:
    shifts: list[Shift] = []
    while shift := reached_by[peer]:
        shifts.append(shift)
        peer = shift[1]
    return shifts[::-1]
