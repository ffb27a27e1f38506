"""Layouts for the planner's bench: settled clusters, and what happens to them.

Everything comes from one seed. Shards of a collection are nearly equal, as hashing makes them; collections differ
by a factor of up to a hundred.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from qdrant_operator.domain.placement.model import Layout, Peer, Replica, Shard
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId

MIB = 2**20
FACTOR = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How large a cluster is before anything happens to it."""

    peers: int
    collections: int
    shards: int
    """Shards of each collection."""
    zones: int
    change: int
    """Peers that come or go when it is scaled; a multiple of `zones`."""
    per_cluster: int
    """Transfers at a time in the whole cluster; one into and one out of each peer."""

    runs: bool = True
    """The loop is run to its end; otherwise that would take too long."""

    @property
    def label(self) -> str:
        """The size as the table says it."""
        return f"{self.peers:,} x {self.collections * self.shards:,}"


SIZES = (
    Size(peers=3, collections=2, shards=6, zones=3, change=3, per_cluster=2),
    Size(peers=30, collections=5, shards=60, zones=3, change=3, per_cluster=6),
    Size(peers=300, collections=10, shards=300, zones=3, change=30, per_cluster=60),
    Size(peers=1000, collections=10, shards=1000, zones=4, change=100, per_cluster=200, runs=False),
)
"""Peers x shards. The first one is small enough for an exact optimum by enumeration."""


def settled(size: Size, seed: int = 1) -> Layout:
    """A cluster at rest: every shard on two zones, per collection the same number of replicas on every peer (±1)."""
    return _settled(size, size.peers, seed)


def _settled(size: Size, count: int, seed: int) -> Layout:
    rng = random.Random(seed)
    peers = tuple(_peer(number, size.zones) for number in range(count))
    shards = [
        shard
        for number in range(size.collections)
        for shard in _collection(f"c{number:02}", size, peers, rng)
    ]
    return Layout(peers, tuple(shards))


def _peer(number: int, zones: int) -> Peer:
    return Peer(PeerId(number + 1), f"vectors-{number}", zone=f"zone-{number % zones}")


def _collection(name: str, size: Size, peers: tuple[Peer, ...], rng: random.Random) -> list[Shard]:
    """Neighbours in the ring are in different zones; each collection has a ring of its own."""
    zones = [[peer for peer in peers if peer.zone == f"zone-{zone}"] for zone in range(size.zones)]
    for zone_peers in zones:
        rng.shuffle(zone_peers)
    ring = [zone_peers[turn] for turn in range(len(zones[0])) for zone_peers in zones]
    typical = rng.uniform(1, 100) * 20 * MIB
    return [
        Shard(
            (name, ShardId(number)),
            FACTOR,
            _replicas({ring[(number * FACTOR + copy) % len(ring)].id for copy in range(FACTOR)}),
            bytes=int(typical * rng.uniform(0.8, 1.25)),
        )
        for number in range(size.shards)
    ]


def _replicas(holders: set[PeerId]) -> tuple[Replica, ...]:
    return tuple(Replica(peer, ReplicaState.ACTIVE, sound=True) for peer in sorted(holders))


def scale_out(size: Size, seed: int) -> Layout:
    """Empty peers have joined."""
    layout = settled(size, seed)
    new = tuple(_peer(size.peers + number, size.zones) for number in range(size.change))
    return replace(layout, peers=layout.peers + new)


def scale_in(size: Size, seed: int) -> Layout:
    """The last peers are leaving, so that as many stay as the size says."""
    layout = _settled(size, size.peers + size.change, seed)
    peers = tuple(replace(peer, leaving=number >= size.peers) for number, peer in enumerate(layout.peers))
    return replace(layout, peers=peers)


def lost_peer(size: Size, seed: int) -> Layout:
    """One peer lost its volume, was removed by force, and came back empty under a new id."""
    layout = settled(size, seed)
    lost = layout.peers[-1]
    fresh = replace(lost, id=PeerId(size.peers + 1))
    return replace(_without(layout, {lost.id}), peers=(*layout.peers[:-1], fresh))


def zone_loss(size: Size, seed: int) -> Layout:
    """A whole zone is gone for good, and its peers were removed by force."""
    layout = settled(size, seed)
    gone = {peer.id for peer in layout.peers if peer.zone == "zone-0"}
    return _without(layout, gone)


def _without(layout: Layout, gone: set[PeerId]) -> Layout:
    return replace(
        layout,
        peers=tuple(peer for peer in layout.peers if peer.id not in gone),
        shards=tuple(
            replace(shard, replicas=tuple(replica for replica in shard.replicas if replica.peer not in gone))
            for shard in layout.shards
        ),
    )


Event = Callable[[Size, int], Layout]
EVENTS: dict[str, Event] = {
    "scale out": scale_out,
    "scale in": scale_in,
    "lost peer": lost_peer,
    "zone loss": zone_loss,
}
"""What happens, by the name that the table says."""


def event_label(event: str, size: Size) -> str:
    """The event with its numbers."""
    few, many = size.peers, size.peers + size.change
    left = size.peers - size.peers // size.zones
    numbers = {
        "scale out": (few, many),
        "scale in": (many, few),
        "lost peer": (few, few),
        "zone loss": (few, left),
    }
    before, after = numbers[event]
    return f"{event} {before:,} → {after:,}" if before != after else event
