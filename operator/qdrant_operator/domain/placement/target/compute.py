"""Where every replica belongs in the end: computed as a whole, then approached step by step.

A target computed anew on the way to it is the same one: it is the cheapest placement that is settled, and each
step on the way costs exactly what it takes off the rest. So nothing moves twice, and no plan need be remembered.

Seats are given in this order: replicas stay where they are, surplus ones leave the fullest peers, missing ones go
to the least full, and levelling moves the rest. `exact` then makes the outcome cheapest where that is affordable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.placement.classify import Case, Census
from qdrant_operator.domain.placement.target import level
from qdrant_operator.domain.placement.target import min_cost_flow as exact
from qdrant_operator.domain.placement.target.assignment import Board, fullest
from qdrant_operator.domain.placement.target.exchange import exchange_seats
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class Target:
    """Holders of every shard in the end."""

    holders: Mapping[ShardRef, frozenset[PeerId]]
    short: Mapping[ShardRef, int]
    """Shards that find too few peers, and how many replicas they lack; what they have stays where it is."""


def find_target(census: Census, *, levelled: bool) -> Target:
    """The settled placement that is cheapest to reach; not `levelled`: only what is missing finds a place."""
    board = Board(census)
    free = tuple(case for case in census.cases if not case.fixed)
    _seat(board, census)
    for case in free:
        _trim(board, case)
    short = {case.shard.ref: lack for case in free if (lack := _fill(board, case))}
    if levelled:
        level.even_zones(board, free)
        exchange_seats(board, free)
        level.even_groups(board, free)
        level.even_totals(board)
    exact.cheapen(board, free, levelled=levelled)
    return Target({case.shard.ref: _holders(board, case, short) for case in census.cases}, short)


def _seat(board: Board, census: Census) -> None:
    for case in census.cases:
        stays = case.stays + case.coming[: case.wanted - len(case.stays)]
        board.seat(case, _as_it_is(board, case) if case.fixed else stays)


def _as_it_is(board: Board, case: Case) -> tuple[PeerId, ...]:
    """Every holder of a shard that nothing is decided for, among peers that count."""
    holders = {*case.stays, *case.coming, *case.going, *case.void}
    return tuple(peer for peer in sorted(holders) if peer in board.total)


def _trim(board: Board, case: Case) -> None:
    held = board.held[case.shard.ref]
    while len(held) > case.wanted:
        board.take(case, fullest(board, case, held))


def _fill(board: Board, case: Case) -> int:
    """Seats for what is missing; how many find none."""
    held = board.held[case.shard.ref]
    while len(held) < case.wanted:
        peer = board.best(case)
        if peer is None:
            return case.wanted - len(held)
        board.put(case, peer)
    return 0


def _holders(board: Board, case: Case, short: Mapping[ShardRef, int]) -> frozenset[PeerId]:
    """Seats; a shard that finds too few keeps replicas where they may not stay, and a fixed one keeps all."""
    if case.fixed:
        return case.shard.holders
    lack = short.get(case.shard.ref, 0)
    return frozenset(board.held[case.shard.ref]).union(case.going[:lack])
