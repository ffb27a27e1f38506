"""Which transfers go first, so that everything is done soon.

A peer takes its transfers one after another, and so does a shard: one whose two replicas both move needs two rounds.
Who has most left to do, over both peers and the shard, begins; otherwise it is alone at the end. Pure; the order
changes nothing of what is moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from qdrant_operator.domain.placement.classify import Case
from qdrant_operator.domain.placement.model import Policy
from qdrant_operator.domain.placement.next_step import Copy
from qdrant_operator.domain.placement.schedule.rehearsal import Leg, Stage, rehearsed
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

FEW = 16
"""Transfers up to which the order is rehearsed: at most some 20 ms."""


class Queues:
    """Bytes that still have to go into each peer, out of it, and through each shard; what runs counts in full."""

    def __init__(self) -> None:
        self._into: dict[PeerId, int] = defaultdict(int)
        self._out: dict[PeerId, int] = defaultdict(int)
        self._shard: dict[ShardRef, int] = {}
        self._open: list[tuple[Case, frozenset[PeerId]]] = []

    def add(self, case: Case, target: frozenset[PeerId]) -> None:
        """Everything that one shard needs until it is there."""
        size, adds = case.shard.bytes + 1, target - case.shard.holders
        for transfer in case.running:
            self._into[transfer.target] += size
            self._out[transfer.source] += size
        for peer in adds:
            self._into[peer] += size
        for peer in _givers(case, target) if adds else ():
            self._out[peer] += size
        self._shard[case.shard.ref] = size * (len(adds) + len(case.running))
        if adds or case.running:
            self._open.append((case, target))

    def in_order(self, copies: Sequence[Copy], policy: Policy) -> list[Copy]:
        """By aim, then what has fewest sound replicas, then as everything ends soonest."""
        ordered = sorted(copies, key=self._turn)
        classes = {(copy.aim, _sound(copy)) for copy in copies}
        return _rehearsed(ordered, self._open, policy) if len(classes) == 1 else ordered

    def _turn(self, copy: Copy) -> tuple[int, int, int, int, ShardRef]:
        shard, sources = copy.case.shard, copy.sources
        out = self._out[sources[0]] if len(sources) == 1 else 0
        left = self._into[copy.target] + out + self._shard[shard.ref]
        return (copy.aim, _sound(copy), -left, -shard.bytes, shard.ref)


def _givers(case: Case, target: frozenset[PeerId]) -> list[PeerId]:
    """Peers that have to send: those that give their replica up, or the one that has the only sound one."""
    gone = {transfer.source for transfer in case.running}
    leaving = [peer for peer in case.sound if peer not in target and peer not in gone]
    return leaving or (list(case.sound) if len(case.sound) == 1 else [])


def _rehearsed(
    ordered: list[Copy], unsettled: Sequence[tuple[Case, frozenset[PeerId]]], policy: Policy
) -> list[Copy]:
    if not 1 < len(unsettled) <= FEW:
        return ordered
    now = {copy.case.shard.ref: copy for copy in ordered}
    later = [leg for case, target in unsettled for leg in _later(case, target, now.get(case.shard.ref))]
    running = [leg for case, _ in unsettled for leg in _running(case)]
    if len(ordered) + len(later) > FEW:
        return ordered
    stage = Stage(running, policy.per_cluster, policy.per_peer)
    return _beginnings(ordered, rehearsed([*map(_leg, ordered), *later], stage))


def _beginnings(copies: Sequence[Copy], legs: Sequence[Leg]) -> list[Copy]:
    """What each shard begins with, in the order of the legs."""
    options = {_leg(one): one for copy in copies for one in (copy, *copy.instead)}
    begun = dict[ShardRef, Copy]()
    for leg in legs:
        if leg in options:
            begun.setdefault(leg.shard, replace(options[leg], instead=()))
    return list(begun.values())


def _leg(copy: Copy) -> Leg:
    source = copy.sources[0] if len(copy.sources) == 1 else None
    return Leg(copy.case.shard.ref, 0, source, copy.target, copy.case.shard.bytes + 1)


def _running(case: Case) -> Iterator[Leg]:
    """How far they are nobody knows; of the guesses tried on the bench's clusters a third left ended soonest."""
    for transfer in case.running:
        yield Leg(case.shard.ref, 0, transfer.source, transfer.target, (case.shard.bytes + 1) // 3)


def _later(case: Case, target: frozenset[PeerId], copy: Copy | None) -> Iterator[Leg]:
    """What the shard needs when what it does now is done."""
    if copy is None and not case.running:
        return
    adds = sorted(target - case.shard.holders - ({copy.target} if copy else set()))
    taken = {copy.sources[0]} if copy and copy.moves else set()
    leaving = [peer for peer in _givers(case, target) if peer not in taken]
    firsts = {_leg(one) for one in copy.instead} if copy else set()
    for peer, source in zip(adds, chain(leaving, [None] * len(adds)), strict=False):
        leg = Leg(case.shard.ref, 0, source, peer, case.shard.bytes + 1)
        yield leg if leg in firsts else replace(leg, after=1)


def _sound(copy: Copy) -> int:
    """Redundancy counts for repair; levelling and draining lose none."""
    return 0 if copy.moves else len(copy.case.sound)
