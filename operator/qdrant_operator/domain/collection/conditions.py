"""The conditions of a QdrantCollection: Ready, Synced, Replicated and Indexed. Pure.

`Ready` is what `kubectl wait` relies on: the collection matches the spec and every shard has its factor of sound
replicas.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from qdrant_operator.domain.collection.indexes import GREY, field_path
from qdrant_operator.domain.collection.observed import Desired, Live, Observed
from qdrant_operator.domain.collection.settings import lookup
from qdrant_operator.domain.collection.shards.keys import declared_keys, may_hold, shown_key
from qdrant_operator.domain.collection.steps import CollectionPlan, needs_action
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, Silent

SHOWN_STEPS = 10
"""Steps and drifting fields that status lists; it is read by people."""


class Reason(StrEnum):
    """Reasons of conditions, in addition to the names of the guards."""

    AS_DECLARED = "AsDeclared"
    STEPS_PENDING = "StepsPending"
    COLLECTION_ABSENT = "CollectionAbsent"
    CLUSTER_NOT_READY = "ClusterNotReady"
    REPLICAS_NOT_SOUND = "ReplicasNotSound"
    REPLICAS_MISSING = "ReplicasMissing"
    REPLICAS_MISPLACED = "ReplicasMisplaced"
    REPLICATED = "Replicated"
    OPTIMIZER_FAILED = "OptimizerFailed"
    OPTIMIZING = "Optimizing"
    OPTIMIZATIONS_PENDING = "OptimizationsPending"
    INDEX_MISSING = "IndexMissing"
    ALL_INDEXED = "AllIndexed"
    NOT_KNOWN = "NotKnown"


def conditions(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[Condition, ...]:
    """Ready, Synced, Replicated and Indexed."""
    synced, replicated = _synced(observed, plan), _replicated(desired, observed)
    return (_ready(observed, synced, replicated), synced, replicated, _indexed(desired, observed))


def waiting(reason: str, message: str, *, refused: bool) -> tuple[Condition, ...]:
    """Conditions while the cluster is not asked: a user must act first (`refused`), or it does not answer."""
    return (
        Condition("Ready", False if refused else None, reason, message),
        Condition("Synced", False if refused else None, reason, message),
        Condition("Replicated", None, reason, message),
        Condition("Indexed", None, reason, message),
    )


def _synced(observed: Observed, plan: CollectionPlan) -> Condition:
    if plan.blocked:
        guard = _first(plan.blocked).guard
        status = None if isinstance(observed.collection, Silent) else False
        return Condition("Synced", status, guard.value, _messages(plan.blocked))
    if plan.steps:
        return Condition("Synced", False, Reason.STEPS_PENDING, f"next: {plan.steps[0]}")
    if not isinstance(observed.collection, Live):
        return Condition("Synced", False, Reason.COLLECTION_ABSENT, "the collection does not exist")
    return Condition("Synced", True, Reason.AS_DECLARED, "the collection matches the spec")


def _first(blocked: tuple[Blocked, ...]) -> Blocked:
    """What a user must act upon comes before what ends by itself."""
    return next((step for step in blocked if needs_action(step.guard)), blocked[0])


def _messages(blocked: tuple[Blocked, ...]) -> str:
    ordered = sorted(blocked, key=lambda step: not needs_action(step.guard))
    return "; ".join(dict.fromkeys(step.message for step in ordered))


def _ready(observed: Observed, synced: Condition, replicated: Condition) -> Condition:
    if synced.status is not True or not isinstance(observed.collection, Live):
        return Condition("Ready", synced.status, synced.reason, synced.message)
    failure = _optimizer_failure(observed.collection)
    if failure:
        return Condition("Ready", False, Reason.OPTIMIZER_FAILED, failure)
    if replicated.status is not True:
        return Condition("Ready", replicated.status, replicated.reason, replicated.message)
    return Condition("Ready", True, Reason.AS_DECLARED, replicated.message + _advice(observed.collection))


def _replicated(desired: Desired, observed: Observed) -> Condition:
    """Whether every shard has its factor of sound replicas, and shard keys are where they may be."""
    if not isinstance(observed.collection, Live):
        return Condition("Replicated", None, Reason.NOT_KNOWN, "the collection cannot be read")
    short = tuple(shard for shard in observed.shards if len(shard.sound) < shard.wanted)
    broken = tuple(shard.label for shard in short if shard.holders - shard.sound - _coming(shard, observed))
    if broken:
        return Condition("Replicated", False, Reason.REPLICAS_NOT_SOUND, _short(observed, broken))
    if short:
        message = _short(observed, tuple(shard.label for shard in short))
        remedy = (
            "; the operator creates the missing ones: see status.plan and status.blocked of the QdrantCluster"
        )
        return Condition("Replicated", False, Reason.REPLICAS_MISSING, message + remedy)
    astray = tuple(_astray(desired, observed))
    if astray:
        return Condition("Replicated", False, Reason.REPLICAS_MISPLACED, "; ".join(astray[:SHOWN_STEPS]))
    message = f"{sound_of_wanted(observed)} replicas of {desired.name} are sound"
    return Condition("Replicated", True, Reason.REPLICATED, message)


def _coming(shard: ShardHealth, observed: Observed) -> frozenset[PeerId]:
    """Targets of running transfers: their replicas are not sound yet, and nothing is wrong with them."""
    return frozenset(peer for number, peer in observed.targets if number == shard.shard)


def _short(observed: Observed, labels: tuple[str, ...]) -> str:
    where = named(labels, SHOWN_STEPS)
    return f"{sound_of_wanted(observed)} replicas are sound; shards with missing replicas: {where}"


def _astray(desired: Desired, observed: Observed) -> Iterator[str]:
    """Shard keys with replicas on peers where the spec allows none."""
    for key, declared in declared_keys(desired.spec).items():
        seen = observed.keys.get(key)
        holders = [pod for pod in observed.pods if seen and pod.peer in seen.holders]
        wrong = [pod.name for pod in holders if not may_hold(declared, pod)]
        if wrong:
            pods = ", ".join(wrong)
            yield f"shard key {shown_key(key)} has replicas on {pods}, which may not hold it: the operator moves them"


def _advice(live: Live) -> str:
    """A write factor with which writes fail during every restart of a peer."""
    factor = lookup(live.config, ("params", "replication_factor")) or 1
    writes = lookup(live.config, ("params", "write_consistency_factor")) or 1
    if not 1 < factor <= writes:
        return ""
    return (
        f". Advice: writeConsistencyFactor {writes} with replicationFactor {factor} makes writes fail while any"
        f" peer restarts; {factor - 1} or less does not"
    )


def _optimizer_failure(live: Live) -> str | None:
    if live.optimizer != "ok":
        return f"the optimizer failed: {live.optimizer}"
    return "Qdrant reports status red: see the logs of its peers" if live.status == "red" else None


def _indexed(desired: Desired, observed: Observed) -> Condition:
    live = observed.collection
    if not isinstance(live, Live):
        return Condition("Indexed", None, Reason.NOT_KNOWN, "the collection cannot be read")
    missing = [i.field for i in desired.spec.payload_indexes if field_path(i.field) not in live.indexes]
    if missing:
        return Condition(
            "Indexed", False, Reason.INDEX_MISSING, f"indexes not built yet: {', '.join(missing)}"
        )
    failure = _optimizer_failure(live)
    if failure:
        return Condition("Indexed", False, Reason.OPTIMIZER_FAILED, failure)
    if live.status == GREY:
        message = (
            "Qdrant has pending optimizations, as after each restart of a peer, and starts them with the next write; "
            "until then searches of unindexed vectors are slow. The operator starts them, unless the cluster is paused"
        )
        return Condition("Indexed", False, Reason.OPTIMIZATIONS_PENDING, message)
    if live.status != "green":
        message = "the optimizer is running" if live.status == "yellow" else live.status
        return Condition("Indexed", False, Reason.OPTIMIZING, message)
    return Condition(
        "Indexed",
        True,
        Reason.ALL_INDEXED,
        "every declared index exists and the optimizer is idle, as one peer reports: it reads one replica of each"
        " shard, and others may finish later",
    )


def wanted_replicas(observed: Observed) -> int:
    """Replicas that all shards should have."""
    return sum(shard.wanted for shard in observed.shards)


def sound_replicas(observed: Observed) -> int:
    """Sound replicas, of each shard no more than it should have."""
    return sum(min(len(shard.sound), shard.wanted) for shard in observed.shards)


def sound_of_wanted(observed: Observed) -> str:
    """Both numbers as users read them: 11/12."""
    return f"{sound_replicas(observed)}/{wanted_replicas(observed)}"
