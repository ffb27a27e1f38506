"""The order in which transfers start, so that the last one ends early.

A peer runs its transfers one after another, and so does a shard: one whose two replicas both move needs two rounds.
So the transfer whose peers and shard have most bytes left starts first; otherwise it runs alone at the end. Pure; the
order does not change what is moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from qdrant_operator.domain.placement.classify import ShardReplicas
from qdrant_operator.domain.placement.model import Policy
from qdrant_operator.domain.placement.next_step import Copy
from qdrant_operator.domain.placement.schedule.local_search import Limits, PlannedTransfer, improve_order
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

FEW = 16
"""Transfers up to which the order is improved by local search: at most some 20 ms."""
RUNNING_LEFT = 3
"""A running transfer counts as if a third of its bytes were left: Qdrant reports no progress. Of the shares tried on
the benchmark's clusters this one ended soonest."""

Unsettled = tuple[ShardReplicas, frozenset[PeerId]]
"""A shard that is not settled yet, and its target."""


class Queues:
    """Bytes left to send into each peer, out of it, and for each shard; running transfers count in full."""

    def __init__(self) -> None:
        self._into: dict[PeerId, int] = defaultdict(int)
        self._out: dict[PeerId, int] = defaultdict(int)
        self._shard: dict[ShardRef, int] = {}
        self._unsettled: list[Unsettled] = []

    def add(self, replicas: ShardReplicas, target: frozenset[PeerId]) -> None:
        """Count all transfers that one shard needs to reach its target."""
        size, adds = replicas.shard.bytes + 1, target - replicas.shard.holders
        for transfer in replicas.running:
            self._into[transfer.target] += size
            self._out[transfer.source] += size
        for peer in adds:
            self._into[peer] += size
        for peer in _senders(replicas, target) if adds else ():
            self._out[peer] += size
        self._shard[replicas.shard.ref] = size * (len(adds) + len(replicas.running))
        if adds or replicas.running:
            self._unsettled.append((replicas, target))

    def in_order(self, copies: Sequence[Copy], policy: Policy) -> list[Copy]:
        """By priority, then fewest sound replicas first, then most bytes left first, improved where they are few."""
        ordered = sorted(copies, key=self._urgency)
        classes = {(copy.priority, _sound(copy)) for copy in copies}
        return _improved(ordered, self._unsettled, policy) if len(classes) == 1 else ordered

    def _urgency(self, copy: Copy) -> tuple[int, int, int, int, ShardRef]:
        shard, sources = copy.replicas.shard, copy.sources
        out = self._out[sources[0]] if len(sources) == 1 else 0
        left = self._into[copy.target] + out + self._shard[shard.ref]
        return (copy.priority, _sound(copy), -left, -shard.bytes, shard.ref)


def _sound(copy: Copy) -> int:
    """Sound replicas, where a transfer adds one; moves of draining and balancing do not change their number."""
    return 0 if copy.moves else len(copy.replicas.sound)


def _senders(replicas: ShardReplicas, target: frozenset[PeerId]) -> list[PeerId]:
    """Peers that have to send: those that give up their replica, or the one that has the only sound replica."""
    moved_away = {transfer.source for transfer in replicas.running}
    leaving = [peer for peer in replicas.sound if peer not in target and peer not in moved_away]
    return leaving or (list(replicas.sound) if len(replicas.sound) == 1 else [])


def _improved(ordered: list[Copy], unsettled: Sequence[Unsettled], policy: Policy) -> list[Copy]:
    if not 1 < len(unsettled) <= FEW:
        return ordered
    now = {copy.replicas.shard.ref: copy for copy in ordered}
    later: list[PlannedTransfer] = []
    running: list[PlannedTransfer] = []
    for replicas, target in unsettled:
        later += _later(replicas, target, now.get(replicas.shard.ref))
        running += _running(replicas)
    if len(ordered) + len(later) > FEW:
        return ordered
    limits = Limits(running, policy.per_cluster, policy.per_peer)
    return _first_of_each(ordered, improve_order([*map(_planned, ordered), *later], limits))


def _first_of_each(copies: Sequence[Copy], transfers: Sequence[PlannedTransfer]) -> list[Copy]:
    """The first transfer of each shard, in this order of all transfers."""
    options = {_planned(option): option for copy in copies for option in (copy, *copy.alternatives)}
    first = dict[ShardRef, Copy]()
    for transfer in transfers:
        if transfer in options:
            first.setdefault(transfer.shard, replace(options[transfer], alternatives=()))
    return list(first.values())


def _planned(copy: Copy) -> PlannedTransfer:
    source = copy.sources[0] if len(copy.sources) == 1 else None
    return PlannedTransfer(copy.replicas.shard.ref, 0, source, copy.target, copy.replicas.shard.bytes + 1)


def _running(replicas: ShardReplicas) -> Iterator[PlannedTransfer]:
    left = (replicas.shard.bytes + 1) // RUNNING_LEFT
    for transfer in replicas.running:
        yield PlannedTransfer(replicas.shard.ref, 0, transfer.source, transfer.target, left)


def _later(
    replicas: ShardReplicas, target: frozenset[PeerId], copy: Copy | None
) -> Iterator[PlannedTransfer]:
    """Transfers that the shard needs after the one that it starts with now."""
    if copy is None and not replicas.running:
        return
    adds = sorted(target - replicas.shard.holders - ({copy.target} if copy else set()))
    used = {copy.sources[0]} if copy and copy.moves else set()
    leaving = [peer for peer in _senders(replicas, target) if peer not in used]
    options = {_planned(option) for option in copy.alternatives} if copy else set()
    for peer, source in zip(adds, chain(leaving, [None] * len(adds)), strict=False):
        transfer = PlannedTransfer(replicas.shard.ref, 0, source, peer, replicas.shard.bytes + 1)
        yield transfer if transfer in options else replace(transfer, after=1)
