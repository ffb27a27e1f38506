"""What one shard needs next on its way to its target: one step, or what it waits for.

Pure. Every rule that keeps data safe stands here: a replica goes only while enough sound ones remain, a target
never holds the shard already, and one shard does one thing at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from qdrant_operator.domain.placement.classify import Case, Census
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica
from qdrant_operator.domain.qdrant.views import PeerId


class Aim(IntEnum):
    """Why a shard changes, in the order in which it is served."""

    REPAIR = 0
    DRAIN = 1
    REPLICATE = 2
    LEVEL = 3


@dataclass(frozen=True, slots=True)
class Copy:
    """A wanted transfer; its source is chosen when it may start."""

    case: Case
    aim: Aim
    sources: tuple[PeerId, ...]
    target: PeerId
    moves: bool
    """The source gives its replica up."""
    why: str
    instead: tuple[Copy, ...] = ()
    """Beginnings that are as good: other pairs of source and target of the same move."""


@dataclass(frozen=True, slots=True)
class Remove:
    """A replica to drop, or a transfer to abort: done at once, without a budget."""

    case: Case
    aim: Aim
    step: DropReplica | AbortTransfer


Wish = Copy | Remove


def next_wish(case: Case, target: frozenset[PeerId], census: Census) -> Wish | None:
    """The step that the shard takes next; None when it is there, or has to wait."""
    if case.shard.disputed:
        return None
    if case.running:
        return _abort(case, census)
    if case.fixed:
        return None
    return _drop(case, target, census) or _copy(case, target, census)


def _abort(case: Case, census: Census) -> Wish | None:
    for transfer in case.running:
        why = _why_abort(case, transfer.source, transfer.target, census)
        if why:
            pods = (census.pod(transfer.source), census.pod(transfer.target))
            step = AbortTransfer(case.shard.ref, transfer.source, transfer.target, pods, why)
            return Remove(case, Aim.REPAIR, step)
    return None


def _why_abort(case: Case, source: PeerId, target: PeerId, census: Census) -> str:
    if not census.may_hold(case.shard, target):
        return why_not_there(case, target, census)
    giver = census.peers.get(source)
    return f"{census.pod(source)} is lost" if giver is None or giver.lost else ""


def why_not_there(case: Case, peer: PeerId, census: Census) -> str:
    """Why the peer may not keep the shard."""
    known = census.peers.get(peer)
    if known is None or known.lost:
        return f"{census.pod(peer)} is lost"
    if known.leaving:
        return f"{known.pod} is leaving"
    return f"shard key {case.shard.key} is not placed on {known.pod}"


def _drop(case: Case, target: frozenset[PeerId], census: Census) -> Wish | None:
    """Worthless replicas first, then those whose zone has others, then those that have to go, then by id."""
    obsolete = (case.shard.holders - target).union(case.void)
    leftover = [peer for peer in sorted(obsolete) if _may_drop(case, peer, census)]
    if not leftover:
        return None
    zones = _zones(case.sound, census)
    going = (*case.going, *case.void)
    order = sorted(
        leftover,
        key=lambda p: (
            p in case.sound,
            -zones[census.peers[p].zone] if p in case.sound else 0,
            p not in going,
            p,
        ),
    )
    aim, why = _why_drop(case, order[0], census)
    return Remove(case, aim, DropReplica(case.shard.ref, order[0], census.pod(order[0]), why))


def _may_drop(case: Case, peer: PeerId, census: Census) -> bool:
    """Enough sound replicas remain; one that is not sound may yet be needed, or heal, until then.

    Qdrant drops nothing on an id that is no member: the id itself is cleared, see `stray_replicas`.
    """
    if peer not in census.peers:
        return False
    remain = len(case.sound) - (peer in case.sound)
    if peer in case.sound or remain >= case.wanted:
        silent = peer in case.coming and not census.peers[peer].answers
        return remain >= case.wanted and not silent
    return remain >= 1 and peer in case.void and _answers(peer, census)


def _answers(peer: PeerId, census: Census) -> bool:
    known = census.peers.get(peer)
    return known is not None and known.answers and not known.lost


def _why_drop(case: Case, peer: PeerId, census: Census) -> tuple[Aim, str]:
    sound = f"{len(case.sound)} of {case.wanted} replicas are sound"
    if peer in case.going:
        return Aim.DRAIN, why_not_there(case, peer, census)
    if peer in case.void and not _answers(peer, census):
        return Aim.REPAIR, why_not_there(case, peer, census)
    if peer not in case.sound:
        return Aim.REPAIR, f"it is {state_of(case, peer)} and {sound}"
    return Aim.REPLICATE, f"{len(case.sound)} sound replicas, {case.wanted} wanted"


def state_of(case: Case, peer: PeerId) -> str:
    """The state of a replica in Qdrant's word."""
    return next((str(r.state) for r in case.shard.replicas if r.peer == peer), "absent")


def _copy(case: Case, target: frozenset[PeerId], census: Census) -> Wish | None:
    adds = sorted(target - case.shard.holders)
    if not adds:
        return None
    waited_for = [peer for peer in case.coming if peer in target]
    if len(case.sound) + len(waited_for) < case.wanted:
        return _replicate(case, adds, census)
    leaving = [peer for peer in case.sound if peer not in target]
    return _move(case, leaving, adds, census) if leaving else None


def _replicate(case: Case, adds: Collection[PeerId], census: Census) -> Wish:
    """To the zone that has fewest of its replicas."""
    zones = _zones(case.sound, census) if len(adds) > 1 else Counter[str]()
    chosen = min(adds, key=lambda peer: (zones[census.peers[peer].zone], peer))
    broken = case.void or any(peer not in case.sound for peer in case.going)
    aim = Aim.REPAIR if broken or len(case.sound) == 1 else Aim.REPLICATE
    why = f"{len(case.sound)} of {case.wanted} replicas are sound"
    return Copy(case, aim, case.sound, chosen, moves=False, why=why)


def _move(case: Case, leaving: Collection[PeerId], adds: Collection[PeerId], census: Census) -> Wish:
    """The pair that spreads the shard best over zones; what has to go goes before what is levelled."""
    pairs = [(source, target) for source in leaving for target in adds]
    if len(pairs) == 1:
        return _moved(case, pairs[0], census)
    ranks = {pair: (pair[0] not in case.going, _spread(case, pair, census)) for pair in pairs}
    best, *others = (_moved(case, pair, census) for pair in pairs if ranks[pair] == min(ranks.values()))
    return replace(best, instead=tuple(others))


def _moved(case: Case, pair: tuple[PeerId, PeerId], census: Census) -> Copy:
    source, target = pair
    if source in case.going:
        return Copy(case, Aim.DRAIN, (source,), target, moves=True, why=why_not_there(case, source, census))
    return Copy(case, Aim.LEVEL, (source,), target, moves=True, why="levelling")


def _spread(case: Case, pair: tuple[PeerId, PeerId], census: Census) -> int:
    after = [peer for peer in case.sound if peer != pair[0]] + [pair[1]]
    return sum(count * count for count in _zones(after, census).values())


def _zones(peers: Iterable[PeerId], census: Census) -> Counter[str]:
    return Counter(census.peers[peer].zone for peer in peers)
