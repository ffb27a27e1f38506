"""New seats are exchanged until they fill the gaps: what is copied anyhow may as well go elsewhere.

A replica that has to be copied costs the same wherever it goes. So before levelling moves replicas that could stay,
new seats are shifted along chains of peers: one peer's new replica takes the place of another's, and that one goes on,
until the last lands where too few are. Without it zones force detours that cost bytes. Only for few new seats.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from qdrant_operator.domain.placement.classify import Case, GroupKey
from qdrant_operator.domain.placement.target.assignment import Board
from qdrant_operator.domain.qdrant.views import PeerId

SEATS = 64
"""New seats of a group up to which chains are looked for: the work grows with their square."""

VAIN = 4
"""Peers for which no chain is found before the rest is left to levelling: each of them costs a whole search."""

Shift = tuple[Case, PeerId, PeerId]
"""A new seat that goes from one peer to another."""


def exchange_seats(board: Board, cases: Iterable[Case]) -> None:
    """Shift new seats from peers that hold more than others to those that hold fewer; no zone gets worse."""
    seats: dict[GroupKey, list[Case]] = defaultdict(list)
    groups = {case.group: case for case in cases}
    for case in cases:
        if not board.held[case.shard.ref] <= {*case.stays, *case.coming}:
            seats[case.group].append(case)
    for group, found in seats.items():
        if len(found) <= SEATS:
            _Exchange(board, groups[group], found).run()


class _Exchange:
    """Of one group."""

    def __init__(self, board: Board, of: Case, cases: list[Case]) -> None:
        self._board, self._cases, self._counts = board, cases, board.counts[of.group]
        self._peers = [peer for peer in board.total if board.census.may_hold(of.shard, peer)]

    def run(self) -> None:
        """From the fullest; each chain takes one replica off it."""
        given_up = set[PeerId]()
        while len(given_up) <= VAIN:
            counts = {peer: self._counts.get(peer, 0) for peer in self._peers if peer not in given_up}
            source = max(counts, key=lambda peer: (counts[peer], peer), default=None)
            if source is None or counts[source] - min(self._counts.get(p, 0) for p in self._peers) < 2:
                return
            shifts = self._chain(source, self._counts[source] - 2)
            for case, start, end in reversed(shifts):
                self._board.move(case, start, end)
            if not shifts:
                given_up.add(source)

    def _chain(self, source: PeerId, most: int) -> list[Shift]:
        """The shortest way for one replica from here to a peer that holds at most so many."""
        came: dict[PeerId, Shift | None] = {source: None}
        queue = deque([source])
        while queue:
            for shift in self._shifts(queue.popleft()):
                peer = shift[2]
                if peer in came or any(shift[0] is other[0] for other in _way(came, shift[1])):
                    continue
                came[peer] = shift
                if self._counts.get(peer, 0) <= most:
                    return _way(came, peer)
                queue.append(peer)
        return []

    def _shifts(self, start: PeerId) -> Iterator[Shift]:
        board = self._board
        for case in self._cases:
            if start in board.held[case.shard.ref] and start not in case.stays and start not in case.coming:
                for end in self._peers:
                    if board.may_put(case, end) and _keeps(board, case, start, end):
                        yield case, start, end


def _way(came: dict[PeerId, Shift | None], peer: PeerId) -> list[Shift]:
    shifts: list[Shift] = []
    while shift := came[peer]:
        shifts.append(shift)
        peer = shift[1]
    return shifts[::-1]


def _keeps(board: Board, case: Case, start: PeerId, end: PeerId) -> bool:
    here, there = board.zone[start], board.zone[end]
    return here == there or board.in_zone(case, there) < board.in_zone(case, here)
