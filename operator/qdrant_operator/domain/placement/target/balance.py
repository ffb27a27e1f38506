"""Balance zones, groups and peers, so that none holds more than its share, with few moves.

Each function moves replicas directly from where there are too many to where there are too few. That is the least
number of moves; in small clusters `min_cost_flow` finds the moves along several peers that cost fewer bytes.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from qdrant_operator.domain.placement.classify import GroupKey, ShardReplicas
from qdrant_operator.domain.placement.target.assignment import Assignment, fullest
from qdrant_operator.domain.qdrant.views import PeerId

TOTAL_SLACK = 2
"""Peers may hold half more or half less than the mean of all collections' replicas. A narrower band would move data of
large collections that are even already; without a band many collections of one shard could all be on one peer."""


def band(total: int, peers: int) -> tuple[int, int]:
    """Fewest and most replicas of all collections that a balanced peer may hold."""
    slack = total // (peers * TOTAL_SLACK)
    return total // peers - slack, -(-total // peers) + slack


def balance_zones(assignment: Assignment, shards: Iterable[ShardReplicas]) -> None:
    """Spread each shard's replicas over zones: one zone has at most one more than another."""
    if len(set(assignment.zone.values())) < 2:
        return
    for replicas in shards:
        while _balance_zone(assignment, replicas):
            pass


def _balance_zone(assignment: Assignment, replicas: ShardReplicas) -> bool:
    held = assignment.held[replicas.shard.ref]
    if len(held) < 2 or len({assignment.zone[peer] for peer in held}) == len(held):
        return False
    zones = Counter(assignment.zone[peer] for peer in held)
    movable = [peer for peer in held if peer not in replicas.recovering]
    if not movable:
        return False
    source = fullest(assignment, replicas, movable)
    target = assignment.best(replicas, without=source)
    if target is None or zones[assignment.zone[target]] > zones[assignment.zone[source]] - 2:
        return False
    assignment.move(replicas, source, target)
    return True


def balance_groups(assignment: Assignment, shards: Iterable[ShardReplicas]) -> None:
    """Within each group, peers' counts differ by at most one."""
    for replicas in {replicas.group: replicas for replicas in shards}.values():
        _balance_group(assignment, replicas)


def _balance_group(assignment: Assignment, of: ShardReplicas) -> None:
    """From the fullest peer to the emptiest, until they differ by one."""
    group = of.group
    counts = assignment.counts[group]
    levels = _Levels([0] if assignment.size[group] < len(assignment.total) else assignment.receiving(of))
    heap = [_donor(assignment, group, peer) for peer, count in counts.items() if count - levels.least > 1]
    heapq.heapify(heap)
    while heap and -heap[0][0] - levels.least > 1:
        *_, peer = heapq.heappop(heap)
        target = _move_one_away(assignment, group, peer)
        if target is not None:
            heapq.heappush(heap, _donor(assignment, group, peer))
            levels.raise_one(counts[target] - 1)


def _donor(assignment: Assignment, group: GroupKey, peer: PeerId) -> tuple[int, int, int, PeerId]:
    """Who gives a replica first: the fullest peer, then the one whose smallest replica is smallest."""
    smallest = min(
        (replicas.shard.bytes for replicas in assignment.by_holder[group, peer].values()), default=0
    )
    return (-assignment.counts[group][peer], smallest, -assignment.total[peer], peer)


class _Levels:
    """How many peers hold how many replicas; gives the fewest without a search over all peers."""

    def __init__(self, counts: Iterable[int]) -> None:
        self._peers = Counter(counts)
        self.least = min(self._peers, default=0)

    def raise_one(self, count: int) -> None:
        """A peer that held `count` replicas holds one more."""
        self._peers[count] -= 1
        self._peers[count + 1] += 1
        while self._peers[self.least] <= 0 and self.least < max(self._peers):
            self.least += 1


def _move_one_away(assignment: Assignment, group: GroupKey, source: PeerId) -> PeerId | None:
    """Move the smallest replica of the group that can move away from the peer; returns its new peer."""
    there = sorted(
        assignment.by_holder[group, source].values(),
        key=lambda replicas: (replicas.shard.bytes, replicas.shard.ref),
    )
    most = assignment.counts[group][source] - 2
    for replicas in there:
        target = None if _is_pinned(replicas, source) else assignment.best(replicas, most, source)
        if target is not None and assignment.keeps_zones(replicas, source, target):
            assignment.move(replicas, source, target)
            return target
    return None


def balance_totals(assignment: Assignment) -> None:
    """Bring peers' totals of all collections into the band, by moves that keep every group as even as it is."""
    if not assignment.total:
        return
    low, high = band(sum(assignment.total.values()), len(assignment.total))
    levels = _Levels(assignment.total.values())
    heap = [(-total, peer) for peer, total in assignment.total.items() if total > low]
    heapq.heapify(heap)
    by_peer = _by_peer(assignment) if -min(heap, default=(0, 0))[0] > high or levels.least < low else {}
    while heap and (-heap[0][0] > high or levels.least < low):
        _, peer = heapq.heappop(heap)
        target = _move_any_away(assignment, by_peer.get(peer, ()), peer, (low, high))
        if target is not None:
            heapq.heappush(heap, (-assignment.total[peer], peer))
            levels.raise_one(assignment.total[target] - 1)


def _by_peer(assignment: Assignment) -> dict[PeerId, list[ShardReplicas]]:
    by_peer: dict[PeerId, list[ShardReplicas]] = {}
    for (_, peer), shards in assignment.by_holder.items():
        by_peer.setdefault(peer, []).extend(shards.values())
    for shards_there in by_peer.values():
        shards_there.sort(key=lambda replicas: (replicas.shard.bytes, replicas.shard.ref))
    return by_peer


def _move_any_away(
    assignment: Assignment, shards: Iterable[ShardReplicas], source: PeerId, limits: tuple[int, int]
) -> PeerId | None:
    """Move one replica of any group from the peer to one that needs it; returns its new peer."""
    for replicas in shards:
        if _is_pinned(replicas, source) or source not in assignment.held[replicas.shard.ref]:
            continue
        target = assignment.best(replicas, assignment.count(replicas, source) - 1, source)
        if target is None or not _helps(assignment, source, target, limits):
            continue
        if assignment.keeps_zones(replicas, source, target):
            assignment.move(replicas, source, target)
            return target
    return None


def _helps(assignment: Assignment, source: PeerId, target: PeerId, limits: tuple[int, int]) -> bool:
    """The move brings one of the two peers closer to the band and neither further from it."""
    low, high = limits
    from_total, to_total = assignment.total[source], assignment.total[target]
    return to_total < high and from_total > low and (from_total > high or to_total < low)


def _is_pinned(replicas: ShardReplicas, peer: PeerId) -> bool:
    """Replicas that recover, and shards for which nothing is decided, stay where they are."""
    return replicas.fixed or peer in replicas.recovering
