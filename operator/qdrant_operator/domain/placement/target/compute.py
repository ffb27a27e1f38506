"""The target: which peers hold each shard once the placement is settled.

The target is the cheapest settled placement, and each step towards it reduces the remaining cost by exactly its own
cost. So a target computed again after any step is the same one: nothing moves twice, and no plan has to be stored.

Replicas are assigned in this order: they stay where they are, surplus ones leave the fullest peers, missing ones go to
the least full peers, and balancing moves the rest. `min_cost_flow` then makes the result the cheapest one in small
clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.placement.classify import Classification, ShardReplicas
from qdrant_operator.domain.placement.target import balance, min_cost_flow
from qdrant_operator.domain.placement.target.assignment import Assignment, fullest
from qdrant_operator.domain.placement.target.exchange import exchange_new_replicas
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class Target:
    """Peers that hold each shard once the placement is settled."""

    holders: Mapping[ShardRef, frozenset[PeerId]]
    short: Mapping[ShardRef, int]
    """Shards for which there are too few peers, and how many replicas they lack; what they have stays where it is."""


def find_target(classification: Classification, *, balanced: bool) -> Target:
    """The settled placement that is cheapest to reach; not `balanced`: only missing replicas are assigned."""
    assignment = Assignment(classification)
    free = tuple(replicas for replicas in classification.shards if not replicas.fixed)
    _assign(assignment, classification)
    for replicas in free:
        _trim(assignment, replicas)
    short = {replicas.shard.ref: lack for replicas in free if (lack := _fill(assignment, replicas))}
    if balanced:
        balance.balance_zones(assignment, free)
        exchange_new_replicas(assignment, free)
        balance.balance_groups(assignment, free)
        balance.balance_totals(assignment)
    min_cost_flow.cheapen(assignment, free, balanced=balanced)
    return Target(
        {replicas.shard.ref: _holders(assignment, replicas, short) for replicas in classification.shards},
        short,
    )


def _assign(assignment: Assignment, classification: Classification) -> None:
    for replicas in classification.shards:
        retained = replicas.retained + replicas.recovering[: replicas.wanted - len(replicas.retained)]
        assignment.assign(replicas, _as_it_is(assignment, replicas) if replicas.fixed else retained)


def _as_it_is(assignment: Assignment, replicas: ShardReplicas) -> tuple[PeerId, ...]:
    """Every holder of a shard for which nothing is decided, among eligible peers."""
    holders = {*replicas.retained, *replicas.recovering, *replicas.to_remove, *replicas.discarded}
    return tuple(peer for peer in sorted(holders) if peer in assignment.total)


def _trim(assignment: Assignment, replicas: ShardReplicas) -> None:
    held = assignment.held[replicas.shard.ref]
    while len(held) > replicas.wanted:
        assignment.remove(replicas, fullest(assignment, replicas, held))


def _fill(assignment: Assignment, replicas: ShardReplicas) -> int:
    """Assign the missing replicas; returns how many find no peer."""
    held = assignment.held[replicas.shard.ref]
    while len(held) < replicas.wanted:
        peer = assignment.best(replicas)
        if peer is None:
            return replicas.wanted - len(held)
        assignment.add(replicas, peer)
    return 0


def _holders(
    assignment: Assignment, replicas: ShardReplicas, short: Mapping[ShardRef, int]
) -> frozenset[PeerId]:
    """Assigned peers; a shard that lacks peers keeps replicas that should be removed, and a fixed one keeps all."""
    if replicas.fixed:
        return replicas.shard.holders
    lack = short.get(replicas.shard.ref, 0)
    return frozenset(assignment.held[replicas.shard.ref]).union(replicas.to_remove[:lack])
