"""Levelling: no zone, group or peer holds more than its share, and few replicas move for it.

Each pass moves replicas straight from where there are too many to where there are too few. That is optimal in
number; `exact` finds the detours that straight moves miss in small clusters.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from qdrant_operator.domain.placement.classify import Case, GroupKey
from qdrant_operator.domain.placement.target.assignment import Board, fullest
from qdrant_operator.domain.qdrant.views import PeerId

TOTAL_SLACK = 2
"""Peers may hold half more or half less than the mean of all collections' replicas. Closer would move data of large
collections although each of them is even; without it many collections of one shard could all be on one peer."""


def band(total: int, peers: int) -> tuple[int, int]:
    """Fewest and most replicas of all collections that a peer may hold without being levelled."""
    slack = total // (peers * TOTAL_SLACK)
    return total // peers - slack, -(-total // peers) + slack


def even_zones(board: Board, cases: Iterable[Case]) -> None:
    """Spread replicas of a shard over zones, where one zone has two more than another."""
    if len(set(board.zone.values())) < 2:
        return
    for case in cases:
        while _even_zone(board, case):
            pass


def _even_zone(board: Board, case: Case) -> bool:
    held = board.held[case.shard.ref]
    if len(held) < 2 or len({board.zone[peer] for peer in held}) == len(held):
        return False
    zones = Counter(board.zone[peer] for peer in held)
    movable = [peer for peer in held if peer not in case.coming]
    if not movable:
        return False
    source = fullest(board, case, movable)
    target = board.best(case, without=source)
    if target is None or zones[board.zone[target]] > zones[board.zone[source]] - 2:
        return False
    board.move(case, source, target)
    return True


def even_groups(board: Board, cases: Iterable[Case]) -> None:
    """Within each group, peers' counts differ by at most one."""
    for case in {case.group: case for case in cases}.values():
        _even_group(board, case)


def _even_group(board: Board, of: Case) -> None:
    """From the fullest to the emptiest, until they differ by one; few of a small group hold more than one."""
    group = of.group
    counts = board.counts[group]
    rank = _Rank([0] if board.size[group] < len(board.total) else board.receiving(of))
    heap = [_giver(board, group, peer) for peer, count in counts.items() if count - rank.least > 1]
    heapq.heapify(heap)
    while heap and -heap[0][0] - rank.least > 1:
        *_, peer = heapq.heappop(heap)
        target = _shed(board, group, peer)
        if target is not None:
            heapq.heappush(heap, _giver(board, group, peer))
            rank.raise_one(counts[target] - 1)


def _giver(board: Board, group: GroupKey, peer: PeerId) -> tuple[int, int, int, PeerId]:
    """Who gives first: the fullest, then who gives the smallest replica."""
    smallest = min((case.shard.bytes for case in board.there[group, peer].values()), default=0)
    return (-board.counts[group][peer], smallest, -board.total[peer], peer)


class _Rank:
    """How many peers hold how many replicas: the fewest is known without looking at every peer."""

    def __init__(self, counts: Iterable[int]) -> None:
        self._peers = Counter(counts)
        self.least = min(self._peers, default=0)

    def raise_one(self, count: int) -> None:
        """A peer that held so many holds one more."""
        self._peers[count] -= 1
        self._peers[count + 1] += 1
        while self._peers[self.least] <= 0 and self.least < max(self._peers):
            self.least += 1


def _shed(board: Board, group: GroupKey, source: PeerId) -> PeerId | None:
    """Move one replica of the group away from the peer, the smallest that can go; where it went."""
    there = sorted(board.there[group, source].values(), key=lambda case: (case.shard.bytes, case.shard.ref))
    most = board.counts[group][source] - 2
    for case in there:
        target = None if _is_held_fast(case, source) else board.best(case, most, source)
        if target is not None and _keeps_zones(board, case, source, target):
            board.move(case, source, target)
            return target
    return None


def even_totals(board: Board) -> None:
    """All collections together stay within the band, by moves that leave every group as even as it is."""
    if not board.total:
        return
    low, high = band(sum(board.total.values()), len(board.total))
    rank = _Rank(board.total.values())
    heap = [(-total, peer) for peer, total in board.total.items() if total > low]
    heapq.heapify(heap)
    mine = _by_peer(board) if -min(heap, default=(0, 0))[0] > high or rank.least < low else {}
    while heap and (-heap[0][0] > high or rank.least < low):
        _, peer = heapq.heappop(heap)
        target = _shed_any(board, mine.get(peer, ()), peer, (low, high))
        if target is not None:
            heapq.heappush(heap, (-board.total[peer], peer))
            rank.raise_one(board.total[target] - 1)


def _by_peer(board: Board) -> dict[PeerId, list[Case]]:
    mine: dict[PeerId, list[Case]] = {}
    for (_, peer), cases in board.there.items():
        mine.setdefault(peer, []).extend(cases.values())
    for cases_there in mine.values():
        cases_there.sort(key=lambda case: (case.shard.bytes, case.shard.ref))
    return mine


def _shed_any(board: Board, cases: Iterable[Case], source: PeerId, limits: tuple[int, int]) -> PeerId | None:
    """Move one replica of any group from the peer to one that needs it; where it went."""
    for case in cases:
        if _is_held_fast(case, source) or source not in board.held[case.shard.ref]:
            continue
        target = board.best(case, board.count(case, source) - 1, source)
        if target is None or not _serves(board, source, target, limits):
            continue
        if _keeps_zones(board, case, source, target):
            board.move(case, source, target)
            return target
    return None


def _serves(board: Board, source: PeerId, target: PeerId, limits: tuple[int, int]) -> bool:
    """The move brings one of both nearer to the band and neither further from it."""
    low, high = limits
    gives, takes = board.total[source], board.total[target]
    return takes < high and gives > low and (gives > high or takes < low)


def _is_held_fast(case: Case, peer: PeerId) -> bool:
    """Replicas that are waited for, and shards that nothing is decided for, stay."""
    return case.fixed or peer in case.coming


def _keeps_zones(board: Board, case: Case, source: PeerId, target: PeerId) -> bool:
    here, there = board.zone[source], board.zone[target]
    return here == there or board.in_zone(case, there) < board.in_zone(case, here)
