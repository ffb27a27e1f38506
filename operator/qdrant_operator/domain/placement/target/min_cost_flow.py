"""The cheapest settled placement, exactly: a minimum-cost flow, found by cancelling negative cycles.

A unit flows from a shard through a zone and a peer's share of the group to the peer. Sums of squares make even
counts cheapest. Weights order the objectives, each larger than all that follow together: zones, groups, the band of
totals, bytes moved, replicas moved, and last the evenness of totals. Python's integers have no limit, so this is
exact. The work is quadratic, so it is done for small layouts only; large ones keep the moves of `balance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.placement.classify import ShardReplicas
from qdrant_operator.domain.placement.target.assignment import Assignment
from qdrant_operator.domain.placement.target.balance import band
from qdrant_operator.domain.qdrant.views import PeerId

PAIRS = 600
"""Shards times peers up to which the exact placement is computed: at most some 0.2 s."""

Node = tuple[object, ...]
SINK: Node = ("sink",)


@dataclass(frozen=True, slots=True)
class Weights:
    """Cost of one unit of each objective; each is larger than all that follow together."""

    add: int
    zone: int
    group: int
    band: int
    byte: int
    move: int
    total: int


@dataclass(frozen=True, slots=True)
class Arc:
    """A unit may flow from one node to another; between a shard's zone and a peer it adds or removes a replica."""

    start: Node
    end: Node
    cost: int
    slot: tuple[ShardReplicas, PeerId, bool] | None = None
    """Shard, peer, and whether the replica is added (True) or removed."""


def cheapen(assignment: Assignment, shards: Sequence[ShardReplicas], *, balanced: bool) -> None:
    """Change the assignment until none is cheaper; not `balanced`: as few new replicas as possible come first."""
    if len(assignment.classification.shards) * len(assignment.total) > PAIRS or len(assignment.total) < 2:
        return
    weights = _weights(assignment, shards, balanced=balanced)
    while cycle := _negative_cycle(tuple(_arcs(assignment, shards, weights))):
        _follow(assignment, cycle)


def _weights(assignment: Assignment, shards: Sequence[ShardReplicas], *, balanced: bool) -> Weights:
    count = sum(assignment.total.values()) + 1
    squares = 2 * count * count
    total = 2 << (len(assignment.classification.shards) * len(assignment.total))
    move = total * squares
    byte = move * count
    over = byte * (sum(replicas.shard.bytes * replicas.wanted for replicas in shards) + 1) + move * count
    group = over * 2 * count * (len(assignment.total) + 1)
    zone = group * squares
    return Weights(0 if balanced else zone * squares, zone, group, over, byte, move, total)


def _arcs(assignment: Assignment, shards: Sequence[ShardReplicas], weights: Weights) -> Iterator[Arc]:
    for index, replicas in enumerate(assignment.classification.shards):
        if not replicas.fixed:
            yield from _shard_arcs(assignment, replicas, weights, 1 << (index * len(assignment.total)))
    for group in dict.fromkeys(replicas.group for replicas in shards):
        counts = assignment.counts[group]
        for peer in assignment.total:
            count = counts.get(peer, 0)
            yield Arc((group, peer), (peer,), weights.group * (2 * count + 1))
            if count:
                yield Arc((peer,), (group, peer), -weights.group * (2 * count - 1))
    limits = band(sum(assignment.total.values()), len(assignment.total))
    for peer, total in assignment.total.items():
        yield Arc((peer,), SINK, _slope(total, limits, weights))
        if total:
            yield Arc(SINK, (peer,), -_slope(total - 1, limits, weights))


def _slope(total: int, limits: tuple[int, int], weights: Weights) -> int:
    """Cost of one more replica on a peer that holds `total`."""
    low, high = limits
    beyond = max(0, total + 1 - high) - max(0, low - total)
    return weights.band * beyond + weights.total * (2 * total + 1)


def _shard_arcs(assignment: Assignment, replicas: ShardReplicas, weights: Weights, own: int) -> Iterator[Arc]:
    ref, held = replicas.shard.ref, assignment.held[replicas.shard.ref]
    zones: dict[str, int] = {}
    new = weights.add + weights.byte * replicas.shard.bytes + weights.move
    for index, peer in enumerate(assignment.total):
        zone = assignment.zone[peer]
        zones.setdefault(zone, 0)
        price = (own << index) + (0 if peer in replicas.retained else new)
        if peer in held:
            zones[zone] += 1
            if peer not in replicas.recovering:
                yield Arc((replicas.group, peer), (ref, zone), -price, (replicas, peer, False))
        elif peer not in replicas.recovering and assignment.may_add(replicas, peer):
            yield Arc((ref, zone), (replicas.group, peer), price, (replicas, peer, True))
    for zone, count in zones.items():
        yield Arc((ref,), (ref, zone), weights.zone * (2 * count + 1))
        if count:
            yield Arc((ref, zone), (ref,), -weights.zone * (2 * count - 1))


def _negative_cycle(arcs: Sequence[Arc]) -> list[Arc]:
    """Bellman-Ford; a loop among the arcs that were last followed is a negative cycle."""
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
    """Arcs of a loop in the tree of last arcs; empty: there is none."""
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


def _follow(assignment: Assignment, cycle: Sequence[Arc]) -> None:
    """Removals come first: a shard never has two replicas on one peer."""
    slots = [arc.slot for arc in cycle if arc.slot is not None]
    for replicas, peer, added in sorted(slots, key=lambda slot: slot[2]):
        if added:
            assignment.add(replicas, peer)
        else:
            assignment.remove(replicas, peer)
