"""Shard keys of a collection with custom sharding: declared against observed, as steps and as what a guard blocks.

Keys are created and removed here; the number and the place of their replicas follow the spec through the
QdrantCluster's loop. Pure. A key is never removed on a guess: what was not counted is not empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from qdrant_operator.api import CollectionSpec, ShardingKey
from qdrant_operator.domain.collection.observed import Desired, KeySeen, Live, Observed, PodSeen
from qdrant_operator.domain.collection.settings import lookup
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateShardKey,
    RemoveShardKey,
)
from qdrant_operator.domain.common.kinds import Json
from qdrant_operator.domain.common.plan import Plan, held_back
from qdrant_operator.domain.qdrant.soundness import wanted_replicas
from qdrant_operator.domain.qdrant.views import ShardKey

NOTHING: CollectionPlan = Plan()


def declared_keys(spec: CollectionSpec) -> Mapping[ShardKey, ShardingKey]:
    """The declared keys; none without custom sharding."""
    sharding = spec.sharding
    return {key.key: key for key in sharding.keys} if sharding and sharding.method == "Custom" else {}


def plan_keys(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    """Create what is missing, remove what this object created and no longer declares; other keys stay."""
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
    for key, declared in declared_keys(spec).items():
        if key in seen and seen[key].shards != declared.shards:
            field = f"sharding.keys[{shown_key(key)}].shards"
            step = f"change {field} from {seen[key].shards} to {declared.shards}"
            yield step, f"{field} is {seen[key].shards}, wanted {declared.shards}"


def shown_key(key: ShardKey) -> str:
    """A key as users read it: text that looks like a number is quoted."""
    return f'"{key}"' if isinstance(key, str) and key.isdecimal() else str(key)


def may_hold(key: ShardingKey | None, pod: PodSeen) -> bool:
    """Whether the spec lets this pod's peer hold the key."""
    peers = key.peers if key else None
    if peers is None:
        return True
    return pod.name in peers.pods if peers.pods else pod.zone == peers.zone


def _key(key: ShardingKey, desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    exists = key.key in observed.keys
    step = f"{'place' if exists else 'create'} shard key {shown_key(key.key)} of {desired.name}"
    expected = observed.expected_peers(desired)
    if observed.answering < expected:
        message = (
            f"{observed.answering} of {expected} peers answer, and Qdrant places the key's shards on all of them;"
            " waiting for the others"
        )
        return NOTHING if exists else held_back(step, CollectionGuard.PEERS_UNREACHABLE, message)
    default = desired.spec.replication_factor or lookup(live.config, ("params", "replication_factor")) or 1
    factor = wanted_replicas(default, key_factor=key.replication_factor)
    allowed = _allowed(key, desired, observed)
    if factor > len(allowed):
        return held_back(step, CollectionGuard.TOO_FEW_PEERS, _few(key, factor, allowed, observed))
    return NOTHING if exists else Plan((_creation(key, factor, allowed, desired, observed),))


def _creation(
    key: ShardingKey, factor: int, allowed: tuple[PodSeen, ...], desired: Desired, observed: Observed
) -> CreateShardKey:
    body: dict[str, Json] = {
        "shard_key": key.key,
        "shards_number": key.shards,
        "replication_factor": factor,
    }
    if len(allowed) == observed.members:
        return CreateShardKey(desired.name, shown_key(key.key), body)
    body["placement"] = sorted(pod.peer for pod in allowed if pod.peer is not None)
    return CreateShardKey(desired.name, shown_key(key.key), body, tuple(pod.name for pod in allowed))


def _allowed(key: ShardingKey, desired: Desired, observed: Observed) -> tuple[PodSeen, ...]:
    """Pods that stay, whose peers may hold the key."""
    return tuple(pod for pod in observed.pods if pod.ordinal < desired.wanted_peers and may_hold(key, pod))


def _few(key: ShardingKey, factor: int, allowed: tuple[PodSeen, ...], observed: Observed) -> str:
    name, there = shown_key(key.key), ", ".join(pod.name for pod in allowed) or "none"
    need = f"shard key {name} needs {factor} peers, one for each replica of a shard"
    remedy = "lower its replicationFactor, or raise spec.replicas of the QdrantCluster"
    if key.peers is None:
        return f"{need}, and the cluster has {len(allowed)}: {remedy}"
    if key.peers.zone is None:
        return f"{need}, and the cluster has {len(allowed)} of its peers.pods ({there}): list more pods, {remedy}"
    zones = ", ".join(sorted({pod.zone for pod in observed.pods if pod.zone})) or "none"
    return (
        f"{need}, and zone {key.peers.zone} has {len(allowed)} ({there}; known zones: {zones}): correct peers.zone or"
        f" spec.shards.zoneKey of the QdrantCluster, {remedy}"
    )


def _removal(key: ShardKey, desired: Desired, seen: KeySeen) -> CollectionPlan:
    """A key that holds points is removed only when the spec says so."""
    name, sharding = shown_key(key), desired.spec.sharding
    consented = sharding is not None and sharding.on_key_removal == "Delete"
    step = f"remove shard key {name} of {desired.name}"
    for guard, gate in REMOVAL_GATES:
        message = gate(name, seen, consented)
        if message:
            return held_back(step, guard, message)
    return Plan((RemoveShardKey(desired.name, key, name, seen.points, consented=consented),))


def _points_not_known(name: str, seen: KeySeen, consented: bool) -> str | None:
    if consented or seen.points is not None:
        return None
    return f"the number of points in shard key {name} is not known: not every replica of it can be counted"


def _holds_points(name: str, seen: KeySeen, consented: bool) -> str | None:
    if consented or seen.points == 0:
        return None
    return (
        f"shard key {name} is no longer declared and holds {seen.points} points: declare it again, delete the points,"
        " or set spec.sharding.onKeyRemoval to Delete to delete them with the key"
    )


def _transfer_running(name: str, seen: KeySeen, _consented: bool) -> str | None:
    if not seen.unsettled:
        return None
    return f"shard key {name} waits: {seen.unsettled}, and Qdrant hangs if the key is removed during the transfer"


REMOVAL_GATES: tuple[tuple[CollectionGuard, Callable[[str, KeySeen, bool], str | None]], ...] = (
    (CollectionGuard.PEERS_UNREACHABLE, _points_not_known),
    (CollectionGuard.SHARD_KEY_HOLDS_POINTS, _holds_points),
    (CollectionGuard.TRANSFER_RUNNING, _transfer_running),
)
"""What protects data comes before what only protects Qdrant. Arguments: the key, what was seen of it, consent."""
