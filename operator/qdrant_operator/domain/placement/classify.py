"""What each shard's replicas are worth: which may stay, which are waited for, which have to go.

Pure. Everything else in placement is decided on these cases, so that repair, drain and levelling never differ
about which replica counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qdrant_operator.domain.placement.model import Layout, Peer, Replica, RunningTransfer, Shard
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ShardKey

DISK_NUMERATOR, DISK_DENOMINATOR = 3, 2
"""A transfer needs more than 1.5 times the shard's bytes on its target: the snapshot, and the shard beside it."""

GroupKey = tuple[str, ShardKey | None]
"""Shards that are levelled among themselves: a collection, or one shard key of it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One shard, its replicas sorted by what they are worth; peers in order of their ids."""

    shard: Shard
    wanted: int
    """Sound replicas wanted; at least one."""
    sound: tuple[PeerId, ...]
    """Sources: every sound replica, wherever it is."""
    stays: tuple[PeerId, ...]
    """Sound replicas that may stay where they are, and the target of a transfer that may stay there."""
    coming: tuple[PeerId, ...]
    """Replicas that are not sound but will be: healed by Qdrant, or back with their peer."""
    going: tuple[PeerId, ...]
    """Replicas on peers that are wanted out, or that the shard's placement does not allow; sound ones first."""
    void: tuple[PeerId, ...]
    """Replicas that count for nothing: on lost peers, or stale."""
    running: tuple[RunningTransfer, ...]
    group: GroupKey
    """Whom it is levelled with."""
    fixed: bool
    """Nothing may be decided: views contradict each other, or there is no sound replica."""


@dataclass(frozen=True, slots=True)
class Census:
    """The layout in the form that placement computes on."""

    peers: Mapping[PeerId, Peer]
    """Every member by id, ordered by id."""
    eligible: tuple[PeerId, ...]
    """Peers that may hold replicas in the end: not leaving, not lost; ordered by id."""
    cases: tuple[Case, ...]
    """Ordered by collection and shard."""
    waits: frozenset[tuple[ShardRef, PeerId]]

    def pod(self, peer: PeerId) -> str:
        """A peer as users know it."""
        known = self.peers.get(peer)
        return known.pod if known else f"peer {peer}"

    def may_hold(self, shard: Shard, peer: PeerId) -> bool:
        """The peer stays, and the shard's placement allows it."""
        known = self.peers.get(peer)
        stays = known is not None and not known.leaving and not known.lost
        return stays and (shard.allowed is None or peer in shard.allowed)

    def may_get(self, shard: Shard, peer: PeerId) -> bool:
        """It may be the target of a new replica now: it answers, has room, and no transfer to it just failed."""
        known = self.peers[peer]
        return known.answers and fits(known.free_bytes, shard.bytes) and (shard.ref, peer) not in self.waits


def fits(free_bytes: int | None, shard_bytes: int) -> bool:
    """Whether a volume has room to receive a shard; unknown counts as yes."""
    return free_bytes is None or free_bytes * DISK_DENOMINATOR > shard_bytes * DISK_NUMERATOR


def take_census(layout: Layout) -> Census:
    """Sort every replica; the order in which peers, shards and replicas are given does not matter."""
    peers = {peer.id: peer for peer in sorted(layout.peers, key=lambda peer: peer.id)}
    eligible = tuple(peer.id for peer in peers.values() if not peer.leaving and not peer.lost)
    running: dict[ShardRef, list[RunningTransfer]] = {}
    for transfer in sorted(layout.transfers, key=lambda t: (t.ref, t.source, t.target)):
        running.setdefault(transfer.ref, []).append(transfer)
    census = Census(peers, eligible, (), layout.waits)
    shards = sorted(layout.shards, key=lambda shard: shard.ref)
    steady = {peer for peer in eligible if peers[peer].answers}
    cases = tuple(
        _case(shard, census, tuple(running.get(shard.ref, ())))
        if _changes(shard, steady, running)
        else _rests(shard)
        for shard in shards
    )
    return Census(peers, eligible, cases, layout.waits)


def _changes(shard: Shard, steady: set[PeerId], running: Mapping[ShardRef, object]) -> bool:
    """Anything about its replicas has to be looked at: nearly all shards of a large cluster just rest."""
    if shard.ref in running or shard.allowed is not None:
        return True
    return not all(replica.sound and replica.peer in steady for replica in shard.replicas)


def _rests(shard: Shard) -> Case:
    """Every replica is sound and may stay."""
    stays = tuple(sorted(replica.peer for replica in shard.replicas))
    fixed = bool(shard.disputed) or not stays
    return Case(shard, max(1, shard.factor), stays, stays, (), (), (), (), (shard.ref[0], shard.key), fixed)


def _case(shard: Shard, census: Census, running: tuple[RunningTransfer, ...]) -> Case:
    sorts: dict[str, list[PeerId]] = {"stays": [], "coming": [], "going": [], "void": []}
    arriving = {transfer.target for transfer in running}
    replicas = sorted(shard.replicas, key=lambda replica: replica.peer)
    for replica in replicas:
        if replica.peer not in arriving:
            sorts[_sort(shard, replica, census)].append(replica.peer)
    for peer in sorted(arriving):
        sorts["stays" if census.may_hold(shard, peer) else "going"].append(peer)
    leaves = {transfer.source for transfer in running if not transfer.keeps_source}
    sound = tuple(replica.peer for replica in replicas if _is_sound(replica, census))
    going = sorted(sorts["going"], key=lambda peer: (peer not in sound, peer))
    return Case(
        shard,
        max(1, shard.factor),
        sound,
        _without(sorted(sorts["stays"]), leaves),
        tuple(sorts["coming"]),
        _without(going, leaves),
        tuple(sorts["void"]),
        running,
        (shard.ref[0], shard.key),
        fixed=bool(shard.disputed) or not sound,
    )


def _without(peers: Iterable[PeerId], leaves: set[PeerId]) -> tuple[PeerId, ...]:
    """The source of a running move is as good as gone: its place is the target's."""
    return tuple(peer for peer in peers if peer not in leaves)


def _is_sound(replica: Replica, census: Census) -> bool:
    known = census.peers.get(replica.peer)
    return replica.sound and known is not None and known.answers and not known.lost


def _sort(shard: Shard, replica: Replica, census: Census) -> str:
    known = census.peers.get(replica.peer)
    sound = _is_sound(replica, census)
    if known is None or known.lost or (replica.stale and not sound and known.answers):
        return "void"
    if not census.may_hold(shard, replica.peer):
        return "going"
    return "stays" if sound else "coming"
