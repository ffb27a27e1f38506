"""Shard keys of a collection that is divided by hand: declared against there, as steps and as what holds them back.

The replicas of a key that is there, and where they live, follow the spec through the QdrantCluster's loop; here
keys are made and removed. Pure. A key is never removed on a guess: what was not counted is not empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qdrant_operator.api import CollectionSpec, ShardingKey
from qdrant_operator.domain.collection.observed import Desired, KeySeen, Live, Observed, PodSeen
from qdrant_operator.domain.collection.settings import lookup
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateShardKey,
    RemoveShardKey,
)
from qdrant_operator.domain.common.plan import Plan, held_back
from qdrant_operator.domain.qdrant.views import ShardKey

NOTHING: CollectionPlan = Plan()


def declared_keys(spec: CollectionSpec) -> Mapping[ShardKey, ShardingKey]:
    """The declared keys; none where the collection is not divided by hand."""
    sharding = spec.sharding
    return {one.key: one for one in sharding.keys} if sharding and sharding.method == "Custom" else {}


def plan_keys(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    """Make what is missing, remove what this object has made and declares no more; others' keys are left."""
    custom = lookup(live.config, ("params", "sharding_method")) == "custom"
    sharding = desired.spec.sharding
    if sharding is None or sharding.method != "Custom" or not custom:
        return NOTHING
    plan, declared = NOTHING, declared_keys(desired.spec)
    for key in declared.values():
        plan += _key(key, desired, observed, live)
    dropped = desired.granted_keys - declared.keys()
    for gone in sorted(dropped & observed.keys.keys(), key=shown_key):
        plan += _removal(gone, desired, observed.keys[gone])
    return plan


def unlike_keys(spec: CollectionSpec, seen: Mapping[ShardKey, KeySeen]) -> Iterator[tuple[str, str]]:
    """Declared keys whose number of shards is another: what would be done, and the difference in words."""
    for key, one in declared_keys(spec).items():
        if key in seen and seen[key].shards != one.shards:
            field = f"sharding.keys[{shown_key(key)}].shards"
            step = f"change {field} from {seen[key].shards} to {one.shards}"
            yield step, f"{field} is {seen[key].shards}, wanted {one.shards}"


def key_factor(key: ShardingKey | None, default: int) -> int:
    """Replicas that each shard of a key shall have; `default` is the collection's factor."""
    return (key.replication_factor if key else None) or default


def shown_key(key: ShardKey) -> str:
    """A key as users read it: text that looks like a number stands in quotes."""
    return f'"{key}"' if isinstance(key, str) and key.isdecimal() else str(key)


def may_hold(key: ShardingKey | None, pod: PodSeen) -> bool:
    """Whether the spec lets this pod's peer hold the key."""
    peers = key.peers if key else None
    if peers is None:
        return True
    return pod.name in peers.pods if peers.pods else pod.zone == peers.zone


def _key(key: ShardingKey, desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    step = f"{'place' if key.key in observed.keys else 'create'} shard key {shown_key(key.key)} of {desired.name}"
    expected = max(observed.members, desired.wanted_peers)
    if observed.answering < expected:
        message = (
            f"{observed.answering} of {expected} peers answer; the key's shards would be put on others too"
        )
        missing = key.key not in observed.keys
        return held_back(step, CollectionGuard.PEERS_UNREACHABLE, message) if missing else NOTHING
    default = desired.spec.replication_factor or lookup(live.config, ("params", "replication_factor")) or 1
    factor, allowed = key_factor(key, default), _allowed(key, desired, observed)
    if factor > len(allowed):
        return held_back(step, CollectionGuard.TOO_FEW_PEERS, _few(key, factor, allowed, observed))
    if key.key in observed.keys:
        return NOTHING
    everywhere = len(allowed) == observed.members
    placement = (
        {} if everywhere else {"placement": sorted(pod.peer for pod in allowed if pod.peer is not None)}
    )
    body = {"shard_key": key.key, "shards_number": key.shards, "replication_factor": factor, **placement}
    where = () if everywhere else tuple(pod.name for pod in allowed)
    return Plan((CreateShardKey(desired.name, shown_key(key.key), body, where),))


def _allowed(key: ShardingKey, desired: Desired, observed: Observed) -> tuple[PodSeen, ...]:
    """Pods that stay, whose peers may hold the key."""
    return tuple(pod for pod in observed.pods if pod.ordinal < desired.wanted_peers and may_hold(key, pod))


def _few(key: ShardingKey, factor: int, allowed: tuple[PodSeen, ...], observed: Observed) -> str:
    name, there = shown_key(key.key), ", ".join(pod.name for pod in allowed) or "none"
    need = f"shard key {name} asks for {factor} replicas on different peers"
    remedy = "lower its replicationFactor, or raise the QdrantCluster's spec.replicas"
    if key.peers is None:
        return f"{need}, and the cluster keeps {len(allowed)}; {remedy}"
    if key.peers.zone is None:
        return f"{need}; of its peers.pods the cluster keeps {len(allowed)} ({there}): name more pods or {remedy}"
    zones = ", ".join(sorted({pod.zone for pod in observed.pods if pod.zone})) or "none"
    return (
        f"{need} of zone {key.peers.zone}, where {len(allowed)} are ({there}; zones that are known: {zones});"
        f" correct peers.zone or the QdrantCluster's spec.shards.zoneKey, or {remedy}"
    )


def _removal(key: ShardKey, desired: Desired, seen: KeySeen) -> CollectionPlan:
    """A key that holds points goes only when the spec says so."""
    name, sharding = shown_key(key), desired.spec.sharding
    consented = sharding is not None and sharding.on_key_removal == "Delete"
    if (consented or seen.points == 0) and seen.unsettled:
        message = f"shard key {name} waits: {seen.unsettled}; Qdrant hangs when a key is removed meanwhile"
        return held_back(
            f"remove shard key {name} of {desired.name}", CollectionGuard.TRANSFER_RUNNING, message
        )
    if consented or seen.points == 0:
        return Plan((RemoveShardKey(desired.name, key, name, seen.points, consented=consented),))
    step = f"remove shard key {name} of {desired.name}"
    if seen.points is None:
        message = (
            f"cannot tell how many points shard key {name} holds: not every replica of it can be counted"
        )
        return held_back(step, CollectionGuard.PEERS_UNREACHABLE, message)
    message = (
        f"shard key {name} is declared no more and holds {seen.points} points; declare it again, delete the"
        " points, or set spec.sharding.onKeyRemoval to Delete to lose them"
    )
    return held_back(step, CollectionGuard.SHARD_KEY_HOLDS_POINTS, message)
