"""The least bytes that must move: exactly on small layouts, as a min-cost flow on large ones.

The placement afterwards must have every shard at its factor on distinct peers that stay, no more of its
replicas in one zone than need be, and per collection counts that differ by at most one. Collections do not depend
on each other, so each is a problem of its own.

The flow lets a unit go from a shard through one of its zones either to a peer that holds the shard (free) or to
the zone's pool and on to any peer there (the shard's bytes). Where a zone takes one replica of a shard, the flow is
the optimum itself; otherwise it might put two replicas on one peer, and is a lower bound.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations, pairwise

from bench.placement.moves import groups, staying, zone_limit
from qdrant_operator.domain.placement.model import Layout, Shard
from qdrant_operator.domain.qdrant.views import PeerId

UNFILLED = 1 << 60
"""Price of leaving a peer below its share: above any number of bytes."""
FAR = 1 << 100


def flow_bound(layout: Layout) -> int:
    """Bytes that must be copied at least."""
    peers = staying(layout)
    return sum(_cheapest_flow(shards, peers) for shards in groups(layout).values())


def exact_optimum(layout: Layout) -> int:
    """The same by enumeration of all placements; for a handful of peers."""
    peers = staying(layout)
    return sum(_enumerated(shards, peers) for shards in groups(layout).values())


def _enumerated(shards: Sequence[Shard], peers: Mapping[PeerId, str]) -> int:
    """Of placements with equal counts on every peer only the cheapest is continued."""
    order, zones = sorted(peers), len(set(peers.values()))
    reached = {tuple(0 for _ in order): 0}
    for shard in shards:
        onward: dict[tuple[int, ...], int] = {}
        for chosen in combinations(order, min(shard.factor, len(order))):
            if max(Counter(peers[peer] for peer in chosen).values()) > zone_limit(shard, zones):
                continue
            cost = shard.bytes * len(set(chosen) - shard.holders)
            for counts, before in reached.items():
                key = tuple(n + (peer in chosen) for n, peer in zip(counts, order, strict=True))
                onward[key] = min(onward.get(key, FAR), before + cost)
        reached = onward
    return min(cost for counts, cost in reached.items() if max(counts) - min(counts) <= 1)


def _cheapest_flow(shards: Sequence[Shard], peers: Mapping[PeerId, str]) -> int:
    network = _Network()
    wanted = {shard.ref: min(shard.factor, len(peers)) for shard in shards}
    share, rest = divmod(sum(wanted.values()), len(peers))
    for peer, zone in peers.items():
        network.add(("pool", zone), peer, len(shards), 0)
        network.add(peer, "sink", share, -UNFILLED)
        network.add(peer, "rest", 1, 0)
    network.add("rest", "sink", rest, 0)
    for shard in shards:
        _add_shard(network, shard, wanted[shard.ref], peers)
    sent = _keep(network, shards, peers, share)
    sent += network.send("source", "sink", sum(wanted.values()) - sent)
    if sent < sum(wanted.values()):
        raise ValueError(
            "no placement is at its factor, spread and balanced: the layout has no settled state"
        )
    return network.cost() + UNFILLED * share * len(peers)


def _add_shard(network: _Network, shard: Shard, wanted: int, peers: Mapping[PeerId, str]) -> None:
    zones = set(peers.values())
    network.add("source", shard.ref, wanted, 0)
    for zone in sorted(zones):
        there = (shard.ref, zone)
        network.add(shard.ref, there, zone_limit(shard, len(zones)), 0)
        network.add(there, ("pool", zone), wanted, shard.bytes)
    for peer in sorted(shard.holders & peers.keys()):
        network.add((shard.ref, peers[peer]), peer, 1, 0)


def _keep(network: _Network, shards: Sequence[Shard], peers: Mapping[PeerId, str], share: int) -> int:
    """A beginning that is cheapest for its size: replicas that stay, up to each peer's share."""
    kept: Counter[PeerId] = Counter()
    for shard in shards:
        for peer in sorted(shard.holders & peers.keys()):
            path = ("source", shard.ref, (shard.ref, peers[peer]), peer, "sink")
            if kept[peer] < share and network.push(path):
                kept[peer] += 1
    return kept.total()


class _Network:
    """Min-cost flow by cheapest paths, one unit at a time; edges come in pairs, there and back."""

    def __init__(self) -> None:
        self._number: dict[Hashable, int] = {}
        self._from: list[list[int]] = []
        self._to: list[int] = []
        self._room: list[int] = []
        self._price: list[int] = []
        self._edge: dict[tuple[Hashable, Hashable], int] = {}

    def add(self, start: Hashable, end: Hashable, room: int, price: int) -> None:
        """An edge."""
        self._edge[start, end] = len(self._to)
        for tail, head, space, cost in ((start, end, room, price), (end, start, 0, -price)):
            self._from[self._node(tail)].append(len(self._to))
            self._to.append(self._node(head))
            self._room.append(space)
            self._price.append(cost)

    def push(self, path: Sequence[Hashable]) -> bool:
        """One unit along this path, if it has room."""
        edges = [self._edge[step] for step in pairwise(path)]
        if not all(self._room[edge] for edge in edges):
            return False
        self._fill(edges)
        return True

    def send(self, start: Hashable, end: Hashable, units: int) -> int:
        """Send up to this many units, each by the cheapest remaining path; returns how many found one."""
        for sent in range(units):
            edges = self._cheapest(self._node(start), self._node(end))
            if not edges:
                return sent
            self._fill(edges)
        return units

    def cost(self) -> int:
        """Price of all that flows."""
        return sum(self._room[edge + 1] * self._price[edge] for edge in range(0, len(self._to), 2))

    def _node(self, name: Hashable) -> int:
        if name not in self._number:
            self._number[name] = len(self._from)
            self._from.append([])
        return self._number[name]

    def _fill(self, edges: Sequence[int]) -> None:
        for edge in edges:
            self._room[edge] -= 1
            self._room[edge ^ 1] += 1

    def _cheapest(self, start: int, end: int) -> list[int]:
        """Bellman-Ford with a queue: prices of edges back are negative."""
        far, by = [FAR] * len(self._from), [-1] * len(self._from)
        far[start] = 0
        queue, queued = deque([start]), [False] * len(self._from)
        room, price, to = self._room, self._price, self._to
        while queue:
            here = queue.popleft()
            queued[here], base = False, far[here]
            for edge in self._from[here]:
                there = to[edge]
                if room[edge] and base + price[edge] < far[there]:
                    far[there], by[there] = base + price[edge], edge
                    if not queued[there]:
                        queued[there] = True
                        queue.append(there)
        return self._walk(by, start, end)

    def _walk(self, by: Sequence[int], start: int, end: int) -> list[int]:
        edges: list[int] = []
        while end != start:
            if by[end] < 0:
                return []
            edges.append(by[end])
            end = self._to[by[end] ^ 1]
        return edges
