"""Plans as transfers: what they move, how long that takes, and how good the placement is afterwards.

Time is counted in bytes: every transfer runs at the same speed, so a transfer of n bytes takes n.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.placement.model import Layout, Policy, Shard
from qdrant_operator.domain.placement.steps import DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId

Holders = dict[ShardRef, set[PeerId]]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One copy of one shard."""

    shard: ShardRef
    source: PeerId
    target: PeerId
    bytes: int


def transfers(steps: Iterable[Step]) -> list[Transfer]:
    """The steps that copy data, in their order."""
    return [
        Transfer(step.shard, step.source, step.target, step.bytes)
        for step in steps
        if isinstance(step, MoveShard | ReplicateShard)
    ]


def total(moved: Iterable[Transfer]) -> int:
    """Bytes that are copied."""
    return sum(transfer.bytes for transfer in moved)


def holders(layout: Layout) -> Holders:
    """Who holds what now."""
    return {shard.ref: set(shard.holders) for shard in layout.shards}


def after(layout: Layout, steps: Iterable[Step]) -> Holders:
    """Who holds what when all steps are done.

    Raises:
        ValueError: a step that Qdrant would refuse, or that would lose a replica.
    """
    found = holders(layout)
    for step in steps:
        if isinstance(step, MoveShard | ReplicateShard):
            if step.target in found[step.shard] or step.source not in found[step.shard]:
                raise ValueError(f"cannot be done: {step}")
            found[step.shard].add(step.target)
        if isinstance(step, MoveShard):
            found[step.shard].discard(step.source)
        if isinstance(step, DropReplica):
            found[step.shard].remove(step.peer)
    return found


def staying(layout: Layout) -> dict[PeerId, str]:
    """Peers that may hold replicas afterwards, and their zones."""
    return {peer.id: peer.zone for peer in layout.peers if not (peer.leaving or peer.lost)}


def groups(layout: Layout) -> Mapping[str, list[Shard]]:
    """Shards that are balanced among themselves."""
    found: dict[str, list[Shard]] = defaultdict(list)
    for shard in layout.shards:
        found[f"{shard.collection}/{shard.key or ''}"].append(shard)
    return found


def zone_limit(shard: Shard, zones: int) -> int:
    """Replicas of one shard that a zone holds when they are spread as well as can be."""
    return -(-shard.factor // max(zones, 1))


@dataclass(frozen=True, slots=True)
class Quality:
    """What is wrong with a placement; all zero when it is settled."""

    missing: int
    """Replicas that shards lack of their factor, or that are on peers that may not hold them."""
    imbalance: int
    """Largest difference between two peers' replicas of one collection, beyond the 1 that cannot be avoided."""
    crowded: int
    """Shards with more replicas in one zone than need be."""


def quality(layout: Layout, found: Holders) -> Quality:
    """Judge a placement."""
    peers = staying(layout)
    zones = len(set(peers.values()))
    missing = imbalance = crowded = 0
    for shards in groups(layout).values():
        counts = Counter(dict.fromkeys(peers, 0))
        for shard in shards:
            here = found[shard.ref]
            missing += abs(min(shard.factor, len(peers)) - len(here & peers.keys())) + len(
                here - peers.keys()
            )
            counts.update(here & peers.keys())
            per_zone = Counter(peers[peer] for peer in here & peers.keys())
            crowded += max(per_zone.values(), default=0) > zone_limit(shard, zones)
        imbalance = max(imbalance, max(counts.values()) - min(counts.values()) - 1)
    return Quality(missing, imbalance, crowded)


def makespan(moved: Sequence[Transfer], policy: Policy) -> int:
    """When the last one ends, if each starts as soon as the budget lets it, earlier ones in the list first."""
    busy: Counter[object] = Counter()
    running: list[tuple[int, int]] = []
    waiting, now = list(range(len(moved))), 0
    while waiting or running:
        left = []
        for number in waiting:
            transfer = moved[number]
            if len(running) < policy.per_cluster and _fits(transfer, busy, policy.per_peer):
                busy.update(_places(transfer))
                heapq.heappush(running, (now + transfer.bytes, number))
            else:
                left.append(number)
        waiting = left
        now, done = heapq.heappop(running)
        busy.subtract(_places(moved[done]))
    return now


def _fits(transfer: Transfer, busy: Counter[object], per_peer: int) -> bool:
    shard, source, target = _places(transfer)
    return not busy[shard] and busy[source] < per_peer and busy[target] < per_peer


def _places(transfer: Transfer) -> tuple[object, object, object]:
    return transfer.shard, ("out", transfer.source), ("in", transfer.target)


def makespan_bound(moved: Sequence[Transfer], policy: Policy) -> int:
    """No schedule of these transfers within the budget can end sooner."""
    into: Counter[PeerId] = Counter()
    out: Counter[PeerId] = Counter()
    for transfer in moved:
        into[transfer.target] += transfer.bytes
        out[transfer.source] += transfer.bytes
    busiest = max((*into.values(), *out.values()), default=0)
    longest = max((transfer.bytes for transfer in moved), default=0)
    return max(-(-total(moved) // policy.per_cluster), -(-busiest // policy.per_peer), longest)
