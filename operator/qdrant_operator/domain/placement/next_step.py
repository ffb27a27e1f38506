"""The next step of one shard towards its target; none where it has to wait.

Pure. Every rule that keeps data safe is here: a replica is dropped only while enough sound ones remain, a transfer's
target never holds the shard already, and a shard has one transfer at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from qdrant_operator.domain.placement.classify import Classification, ShardReplicas
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica
from qdrant_operator.domain.qdrant.views import PeerId


class Priority(IntEnum):
    """Why a shard changes, most urgent first."""

    REPAIR = 0
    DRAIN = 1
    REPLICATE = 2
    BALANCE = 3


@dataclass(frozen=True, slots=True)
class Copy:
    """A planned transfer; its source is chosen when it may start."""

    replicas: ShardReplicas
    priority: Priority
    sources: tuple[PeerId, ...]
    target: PeerId
    moves: bool
    """The source drops its replica when the transfer is done."""
    why: str
    alternatives: tuple[Copy, ...] = ()
    """Other pairs of source and target of the same move that are as good."""


@dataclass(frozen=True, slots=True)
class Remove:
    """A replica to drop, or a transfer to abort: done at once, no budget applies."""

    replicas: ShardReplicas
    priority: Priority
    step: DropReplica | AbortTransfer


Action = Copy | Remove
"""What a shard may need next."""


def next_action(
    replicas: ShardReplicas, target: frozenset[PeerId], classification: Classification
) -> Action | None:
    """What the shard needs next; None when it is settled, or has to wait."""
    if replicas.shard.disputed:
        return None
    if replicas.running:
        return _abort(replicas, classification)
    if replicas.fixed:
        return None
    return _drop(replicas, target, classification) or _copy(replicas, target, classification)


def _abort(replicas: ShardReplicas, classification: Classification) -> Action | None:
    for transfer in replicas.running:
        why = _why_abort(replicas, transfer.source, transfer.target, classification)
        if why:
            pods = (classification.pod(transfer.source), classification.pod(transfer.target))
            step = AbortTransfer(replicas.shard.ref, transfer.source, transfer.target, pods, why)
            return Remove(replicas, Priority.REPAIR, step)
    return None


def _why_abort(
    replicas: ShardReplicas, source: PeerId, target: PeerId, classification: Classification
) -> str:
    if not classification.may_hold(replicas.shard, target):
        return why_not_there(replicas, target, classification)
    known = classification.peers.get(source)
    return f"{classification.pod(source)} is lost" if known is None or known.lost else ""


def why_not_there(replicas: ShardReplicas, peer: PeerId, classification: Classification) -> str:
    """Why the peer may not keep the shard."""
    known = classification.peers.get(peer)
    if known is None or known.lost:
        return f"{classification.pod(peer)} is lost"
    if known.leaving:
        return f"{known.pod} is leaving"
    return f"shard key {replicas.shard.key} is not placed on {known.pod}"


def _drop(
    replicas: ShardReplicas, target: frozenset[PeerId], classification: Classification
) -> Action | None:
    obsolete = (replicas.shard.holders - target).union(replicas.discarded)
    droppable = [peer for peer in obsolete if _may_drop(replicas, peer, classification)]
    if not droppable:
        return None
    zones = _zones(replicas.sound, classification)
    first = min(droppable, key=lambda peer: _drop_order(replicas, peer, zones, classification))
    priority, why = _why_drop(replicas, first, classification)
    step = DropReplica(replicas.shard.ref, first, classification.pod(first), why)
    return Remove(replicas, priority, step)


def _drop_order(
    replicas: ShardReplicas, peer: PeerId, zones: Counter[str], classification: Classification
) -> tuple[bool, int, bool, PeerId]:
    """Unsound replicas first, then those whose zone has others, then those that have to be removed, then by id."""
    sound = peer in replicas.sound
    in_zone = zones[classification.peers[peer].zone] if sound else 0
    required = peer in replicas.to_remove or peer in replicas.discarded
    return sound, -in_zone, not required, peer


def _may_drop(replicas: ShardReplicas, peer: PeerId, classification: Classification) -> bool:
    """Enough sound replicas remain; until then one that is not sound stays, as it may be needed or heal.

    Qdrant drops no replica of an id that is not a peer; such ids are purged instead, see `orphaned_replicas`.
    """
    if peer not in classification.peers:
        return False
    remain = len(replicas.sound) - (peer in replicas.sound)
    if peer in replicas.sound or remain >= replicas.wanted:
        silent = peer in replicas.recovering and not classification.peers[peer].answers
        return remain >= replicas.wanted and not silent
    return remain >= 1 and peer in replicas.discarded and _answers(peer, classification)


def _answers(peer: PeerId, classification: Classification) -> bool:
    known = classification.peers.get(peer)
    return known is not None and known.answers and not known.lost


def _why_drop(replicas: ShardReplicas, peer: PeerId, classification: Classification) -> tuple[Priority, str]:
    sound = f"{len(replicas.sound)} of {replicas.wanted} replicas are sound"
    if peer in replicas.to_remove:
        return Priority.DRAIN, why_not_there(replicas, peer, classification)
    if peer in replicas.discarded and not _answers(peer, classification):
        return Priority.REPAIR, why_not_there(replicas, peer, classification)
    if peer not in replicas.sound:
        return Priority.REPAIR, f"it is {state_of(replicas, peer)} and {sound}"
    return Priority.REPLICATE, f"{len(replicas.sound)} sound replicas, {replicas.wanted} wanted"


def state_of(replicas: ShardReplicas, peer: PeerId) -> str:
    """The state of a replica as Qdrant names it."""
    return next((str(r.state) for r in replicas.shard.replicas if r.peer == peer), "absent")


def _copy(
    replicas: ShardReplicas, target: frozenset[PeerId], classification: Classification
) -> Action | None:
    adds = sorted(target - replicas.shard.holders)
    if not adds:
        return None
    recovering = [peer for peer in replicas.recovering if peer in target]
    if len(replicas.sound) + len(recovering) < replicas.wanted:
        return _replicate(replicas, adds, classification)
    leaving = [peer for peer in replicas.sound if peer not in target]
    return _move(replicas, leaving, adds, classification) if leaving else None


def _replicate(replicas: ShardReplicas, adds: Collection[PeerId], classification: Classification) -> Action:
    """To the zone that has the fewest sound replicas of the shard."""
    zones = _zones(replicas.sound, classification) if len(adds) > 1 else Counter[str]()
    chosen = min(adds, key=lambda peer: (zones[classification.peers[peer].zone], peer))
    broken = replicas.discarded or any(peer not in replicas.sound for peer in replicas.to_remove)
    priority = Priority.REPAIR if broken or len(replicas.sound) == 1 else Priority.REPLICATE
    why = f"{len(replicas.sound)} of {replicas.wanted} replicas are sound"
    return Copy(replicas, priority, replicas.sound, chosen, moves=False, why=why)


def _move(
    replicas: ShardReplicas,
    leaving: Collection[PeerId],
    adds: Collection[PeerId],
    classification: Classification,
) -> Action:
    """The pair of peers that spreads the shard best over zones; draining comes before balancing."""
    pairs = [(source, target) for source in leaving for target in adds]
    if len(pairs) == 1:
        return _moved(replicas, pairs[0], classification)
    ranks = {
        pair: (pair[0] not in replicas.to_remove, _spread(replicas, pair, classification)) for pair in pairs
    }
    lowest = min(ranks.values())
    best, *others = (_moved(replicas, pair, classification) for pair in pairs if ranks[pair] == lowest)
    return replace(best, alternatives=tuple(others))


def _moved(replicas: ShardReplicas, pair: tuple[PeerId, PeerId], classification: Classification) -> Copy:
    source, target = pair
    if source in replicas.to_remove:
        why = why_not_there(replicas, source, classification)
        return Copy(replicas, Priority.DRAIN, (source,), target, moves=True, why=why)
    return Copy(replicas, Priority.BALANCE, (source,), target, moves=True, why="balancing")


def _spread(replicas: ShardReplicas, pair: tuple[PeerId, PeerId], classification: Classification) -> int:
    """How unevenly zones hold the shard after this move: the sum of squares of their counts."""
    after = [peer for peer in replicas.sound if peer != pair[0]] + [pair[1]]
    return sum(count * count for count in _zones(after, classification).values())


def _zones(peers: Iterable[PeerId], classification: Classification) -> Counter[str]:
    return Counter(classification.peers[peer].zone for peer in peers)
