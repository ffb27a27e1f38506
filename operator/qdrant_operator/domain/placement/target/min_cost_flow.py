"""The cheapest settled placement, exactly: a minimum-cost flow, improved along negative cycles.

A unit flows from a shard through a zone and a peer's share of the group to the peer. Sums of squares make even
counts cheapest, and weights so large that nothing below can outbid them put the aims in order: zones, groups, the
band of totals, bytes moved, replicas moved, and last the evenness of totals. Python's integers have no limit, so
this is exact. The cost is quadratic, so it is done for small layouts only; large ones keep the straight moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.placement.classify import Case
from qdrant_operator.domain.placement.target.assignment import Board
from qdrant_operator.domain.placement.target.level import band
from qdrant_operator.domain.qdrant.views import PeerId

PAIRS = 600
"""Shards times peers up to which the exact placement is computed: at most some 0.2 s."""

Node = tuple[object, ...]
SINK: Node = ("sink",)


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each aim costs; each outweighs all that stand after it."""

    add: int
    zone: int
    group: int
    band: int
    byte: int
    move: int
    total: int


@dataclass(frozen=True, slots=True)
class Arc:
    """A unit may go from one node to another; between shard (or its zone) and peer it changes a seat."""

    start: Node
    end: Node
    cost: int
    seat: tuple[Case, PeerId, bool] | None = None
    """Shard, peer, and whether the seat is taken (True) or given up."""


def cheapen(board: Board, cases: Sequence[Case], *, levelled: bool) -> None:
    """Change seats until no other placement is better; not `levelled`: as few new seats as possible first."""
    if len(board.census.cases) * len(board.total) > PAIRS or len(board.total) < 2:
        return
    weights = _weights(board, cases, levelled=levelled)
    while cycle := _negative_cycle(tuple(_arcs(board, cases, weights))):
        _follow(board, cycle)


def _weights(board: Board, cases: Sequence[Case], *, levelled: bool) -> Weights:
    replicas = sum(board.total.values()) + 1
    squares = 2 * replicas * replicas
    total = 2 << (len(board.census.cases) * len(board.total))
    move = total * squares
    byte = move * replicas
    over = byte * (sum(case.shard.bytes * case.wanted for case in cases) + 1) + move * replicas
    group = over * 2 * replicas * (len(board.total) + 1)
    zone = group * squares
    return Weights(0 if levelled else zone * squares, zone, group, over, byte, move, total)


def _arcs(board: Board, cases: Sequence[Case], weights: Weights) -> Iterator[Arc]:
    for index, case in enumerate(board.census.cases):
        if not case.fixed:
            yield from _shard_arcs(board, case, weights, 1 << (index * len(board.total)))
    for group in dict.fromkeys(case.group for case in cases):
        counts = board.counts[group]
        for peer in board.total:
            count = counts.get(peer, 0)
            yield Arc((group, peer), (peer,), weights.group * (2 * count + 1))
            if count:
                yield Arc((peer,), (group, peer), -weights.group * (2 * count - 1))
    limits = band(sum(board.total.values()), len(board.total))
    for peer, total in board.total.items():
        yield Arc((peer,), SINK, _slope(total, limits, weights))
        if total:
            yield Arc(SINK, (peer,), -_slope(total - 1, limits, weights))


def _slope(total: int, limits: tuple[int, int], weights: Weights) -> int:
    """Price of one replica more on a peer that holds so many."""
    low, high = limits
    beyond = max(0, total + 1 - high) - max(0, low - total)
    return weights.band * beyond + weights.total * (2 * total + 1)


def _shard_arcs(board: Board, case: Case, weights: Weights, own: int) -> Iterator[Arc]:
    ref, held = case.shard.ref, board.held[case.shard.ref]
    zones: dict[str, int] = {}
    new = weights.add + weights.byte * case.shard.bytes + weights.move
    for index, peer in enumerate(board.total):
        zone = board.zone[peer]
        zones.setdefault(zone, 0)
        price = (own << index) + (0 if peer in case.stays else new)
        if peer in held:
            zones[zone] += 1
            if peer not in case.coming:
                yield Arc((case.group, peer), (ref, zone), -price, (case, peer, False))
        elif peer not in case.coming and board.may_put(case, peer):
            yield Arc((ref, zone), (case.group, peer), price, (case, peer, True))
    for zone, count in zones.items():
        yield Arc((ref,), (ref, zone), weights.zone * (2 * count + 1))
        if count:
            yield Arc((ref, zone), (ref,), -weights.zone * (2 * count - 1))


def _negative_cycle(arcs: Sequence[Arc]) -> list[Arc]:
    """Bellman and Ford's rounds; a loop among the arcs that were last followed is a negative cycle."""
    number: dict[Node, int] = {}
    ends = [
        (number.setdefault(a.start, len(number)), number.setdefault(a.end, len(number)), a.cost) for a in arcs
    ]
    far, by = [0] * len(number), [-1] * len(number)
    changed = True
    while changed:
        changed = False
        for index, (start, end, cost) in enumerate(ends):
            if far[start] + cost < far[end]:
                far[end], by[end], changed = far[start] + cost, index, True
        loop = _loop(by, ends)
        if loop:
            return [arcs[index] for index in loop]
    return []


def _loop(by: Sequence[int], ends: Sequence[tuple[int, int, int]]) -> list[int]:
    """Arcs of a loop in the tree of last arcs, if there is one."""
    seen = [0] * len(by)
    for first in range(len(by)):
        node = first
        while by[node] >= 0 and not seen[node]:
            seen[node] = first + 1
            node = ends[by[node]][0]
        if by[node] >= 0 and seen[node] == first + 1:
            return _around(by, ends, node)
    return []


def _around(by: Sequence[int], ends: Sequence[tuple[int, int, int]], first: int) -> list[int]:
    loop, node = [by[first]], ends[by[first]][0]
    while node != first:
        loop.append(by[node])
        node = ends[by[node]][0]
    return loop


def _follow(board: Board, cycle: Sequence[Arc]) -> None:
    """Give up seats before others are taken: a shard never has two on one peer."""
    seats = [arc.seat for arc in cycle if arc.seat is not None]
    for case, peer, taken in sorted(seats, key=lambda seat: seat[2]):
        if taken:
            board.put(case, peer)
        else:
            board.take(case, peer)
