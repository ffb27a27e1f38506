"""Classify each shard's replicas: which are retained, which are recovering, which have to be removed.

Pure. Everything else in placement is decided on this classification, so repair, drain and balancing always agree on
which replica counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from qdrant_operator.domain.placement.model import Layout, Peer, Replica, RunningTransfer, Shard
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ShardKey

DISK_NUMERATOR, DISK_DENOMINATOR = 3, 2
"""A transfer needs more than 1.5 times the shard's bytes on its target: the snapshot, and the shard beside it."""

GroupKey = tuple[str, ShardKey | None]
"""Shards that are balanced among themselves: a collection, or one shard key of it."""


@dataclass(frozen=True, slots=True)
class ShardReplicas:
    """One shard with its replicas classified; peers are ordered by id."""

    shard: Shard
    wanted: int
    """Sound replicas wanted; at least one."""
    sound: tuple[PeerId, ...]
    """Possible sources of a transfer: every sound replica, on whichever peer."""
    retained: tuple[PeerId, ...]
    """Sound replicas that may stay on their peer, and targets of running transfers that may stay there."""
    recovering: tuple[PeerId, ...]
    """Replicas that are not sound yet: Qdrant heals them, or they return with their peer."""
    to_remove: tuple[PeerId, ...]
    """Replicas on peers that are leaving, or that the shard's placement does not allow; sound ones first."""
    discarded: tuple[PeerId, ...]
    """Replicas that do not count: on lost peers, or stale."""
    running: tuple[RunningTransfer, ...]
    group: GroupKey
    """Shards with the same group are balanced together."""
    fixed: bool
    """The shard stays as it is: views contradict each other, or no replica is sound."""


@dataclass(frozen=True, slots=True)
class Classification:
    """All shards with their replicas classified, and the peers that may hold them."""

    peers: Mapping[PeerId, Peer]
    """Every peer of the cluster, ordered by id."""
    eligible: tuple[PeerId, ...]
    """Peers that may hold replicas in the target: not leaving, not lost; ordered by id."""
    shards: tuple[ShardReplicas, ...]
    """Ordered by collection and shard."""
    waits: frozenset[tuple[ShardRef, PeerId]]
    """Shards and targets whose last transfer was aborted; see `Layout.waits`."""

    def pod(self, peer: PeerId) -> str:
        """Name of the peer's pod; `peer <id>` where no pod is known."""
        known = self.peers.get(peer)
        return known.pod if known else f"peer {peer}"

    def may_hold(self, shard: Shard, peer: PeerId) -> bool:
        """The peer stays, and the shard's placement allows it."""
        known = self.peers.get(peer)
        staying = known is not None and not known.leaving and not known.lost
        return staying and (shard.allowed is None or peer in shard.allowed)

    def may_receive(self, shard: Shard, peer: PeerId) -> bool:
        """It may receive a new replica now: it answers, has room, and no transfer to it was aborted recently."""
        known = self.peers[peer]
        return known.answers and fits(known.free_bytes, shard.bytes) and (shard.ref, peer) not in self.waits


def fits(free_bytes: int | None, shard_bytes: int) -> bool:
    """Whether a volume has room to receive a shard; unknown free space counts as enough."""
    return free_bytes is None or free_bytes * DISK_DENOMINATOR > shard_bytes * DISK_NUMERATOR


def classify(layout: Layout) -> Classification:
    """Classify every replica; the order in which peers, shards and replicas are listed does not matter."""
    peers = {peer.id: peer for peer in sorted(layout.peers, key=lambda peer: peer.id)}
    eligible = tuple(peer.id for peer in peers.values() if not peer.leaving and not peer.lost)
    running: dict[ShardRef, list[RunningTransfer]] = {}
    for transfer in sorted(layout.transfers, key=lambda t: (t.ref, t.source, t.target)):
        running.setdefault(transfer.ref, []).append(transfer)
    peers_only = Classification(peers, eligible, (), layout.waits)
    available = {peer for peer in eligible if peers[peer].answers}
    shards: list[ShardReplicas] = []
    for shard in sorted(layout.shards, key=lambda shard: shard.ref):
        if _is_undisturbed(shard, available, running):
            shards.append(_all_retained(shard))
        else:
            shards.append(_classified(shard, peers_only, tuple(running.get(shard.ref, ()))))
    return replace(peers_only, shards=tuple(shards))


def _is_undisturbed(shard: Shard, available: set[PeerId], running: Mapping[ShardRef, object]) -> bool:
    """A fast check: nearly all shards of a large cluster are sound and may stay where they are."""
    if shard.ref in running or shard.allowed is not None:
        return False
    return all(replica.sound and replica.peer in available for replica in shard.replicas)


def _all_retained(shard: Shard) -> ShardReplicas:
    retained = tuple(sorted(replica.peer for replica in shard.replicas))
    fixed = bool(shard.disputed) or not retained
    return ShardReplicas(
        shard, max(1, shard.factor), retained, retained, (), (), (), (), (shard.ref[0], shard.key), fixed
    )


class _Class(Enum):
    """One class of replicas."""

    RETAINED = auto()
    RECOVERING = auto()
    TO_REMOVE = auto()
    DISCARDED = auto()


def _classified(
    shard: Shard, classification: Classification, running: tuple[RunningTransfer, ...]
) -> ShardReplicas:
    classes: dict[_Class, list[PeerId]] = {name: [] for name in _Class}
    arriving = {transfer.target for transfer in running}
    replicas = sorted(shard.replicas, key=lambda replica: replica.peer)
    for replica in replicas:
        if replica.peer not in arriving:
            classes[_class_of(shard, replica, classification)].append(replica.peer)
    for peer in sorted(arriving):
        name = _Class.RETAINED if classification.may_hold(shard, peer) else _Class.TO_REMOVE
        classes[name].append(peer)
    moved_away = {transfer.source for transfer in running if not transfer.keeps_source}
    sound = tuple(replica.peer for replica in replicas if _is_sound(replica, classification))
    to_remove = sorted(classes[_Class.TO_REMOVE], key=lambda peer: (peer not in sound, peer))
    return ShardReplicas(
        shard,
        max(1, shard.factor),
        sound,
        _without(sorted(classes[_Class.RETAINED]), moved_away),
        tuple(classes[_Class.RECOVERING]),
        _without(to_remove, moved_away),
        tuple(classes[_Class.DISCARDED]),
        running,
        (shard.ref[0], shard.key),
        fixed=bool(shard.disputed) or not sound,
    )


def _without(peers: Iterable[PeerId], moved_away: set[PeerId]) -> tuple[PeerId, ...]:
    """The source of a running move does not count any more: the target takes its place."""
    return tuple(peer for peer in peers if peer not in moved_away)


def _is_sound(replica: Replica, classification: Classification) -> bool:
    known = classification.peers.get(replica.peer)
    return replica.sound and known is not None and known.answers and not known.lost


def _class_of(shard: Shard, replica: Replica, classification: Classification) -> _Class:
    known = classification.peers.get(replica.peer)
    sound = _is_sound(replica, classification)
    if known is None or known.lost or (replica.stale and not sound and known.answers):
        return _Class.DISCARDED
    if not classification.may_hold(shard, replica.peer):
        return _Class.TO_REMOVE
    return _Class.RETAINED if sound else _Class.RECOVERING
