"""What a QdrantCollection's status says: facts and conditions, from what was seen and planned.

`Ready` is what `kubectl wait` trusts: the live collection is as declared and every shard is at its factor with
sound replicas. Pure; nothing here is ever read back for a decision, but for the aliases this object has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from qdrant_operator.api import Blocked as BlockedWords
from qdrant_operator.api import CollectionPhase, CollectionShards, CollectionStatus, Drift
from qdrant_operator.domain.collection.indexes import GREY, field_path
from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed
from qdrant_operator.domain.collection.planner import shown
from qdrant_operator.domain.collection.settings import Change, Difference, differences, lookup
from qdrant_operator.domain.collection.shard_keys import declared_keys, may_hold, shown_key
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateCollection,
    CreateShardKey,
    MoveAliases,
    needs_action,
)
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, ShardKey, Silent

SHOWN_STEPS = 10
"""Steps and drifting fields that status lists; it is read by people."""


class Reason(StrEnum):
    """Reasons of conditions beside the guards' own words."""

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


WHY = {
    Change.PATCH: "it is being changed",
    Change.FACTOR: "it is being changed, replicas follow; status.blocked says why if it waits",
    Change.REBUILD: "Qdrant cannot change it; a new collection, a copy and an alias move are needed",
    Change.ADD_VECTOR: "Qdrant 1.18 and later adds it through its API; this operator does not do that yet",
}


def conditions(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[Condition, ...]:
    """Ready, Synced, Replicated and Indexed."""
    synced, replicated = _synced(observed, plan), _replicated(desired, observed)
    return (_ready(observed, synced, replicated), synced, replicated, _indexed(desired, observed))


def waiting(reason: str, message: str, *, refused: bool) -> tuple[Condition, ...]:
    """Conditions while the cluster is not asked: because somebody must act first, or because it is silent."""
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
        return Condition("Synced", False, Reason.COLLECTION_ABSENT, "the collection is not there")
    return Condition("Synced", True, Reason.AS_DECLARED, "the collection is as declared")


def _first(blocked: tuple[Blocked, ...]) -> Blocked:
    """What needs somebody comes before what ends by itself."""
    return next((one for one in blocked if needs_action(one.guard)), blocked[0])


def _messages(blocked: tuple[Blocked, ...]) -> str:
    ordered = sorted(blocked, key=lambda one: not needs_action(one.guard))
    return "; ".join(dict.fromkeys(one.message for one in ordered))


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
        told = "; the QdrantCluster's loop makes the others: its status.plan and status.blocked say more"
        return Condition("Replicated", False, Reason.REPLICAS_MISSING, message + told)
    astray = tuple(_astray(desired, observed))
    if astray:
        return Condition("Replicated", False, Reason.REPLICAS_MISPLACED, "; ".join(astray[:SHOWN_STEPS]))
    told = f"{_counts(observed)} replicas of {desired.name} are sound"
    return Condition("Replicated", True, Reason.REPLICATED, told)


def _coming(shard: ShardHealth, observed: Observed) -> frozenset[PeerId]:
    """Peers that are being given the shard: not sound yet, and nothing is wrong with them."""
    return frozenset(peer for number, peer in observed.targets if number == shard.shard)


def _short(observed: Observed, labels: tuple[str, ...]) -> str:
    where = named(labels, SHOWN_STEPS)
    return f"{_counts(observed)} replicas are sound; shards without all of theirs: {where}"


def _astray(desired: Desired, observed: Observed) -> Iterator[str]:
    """Shard keys with a replica where the spec lets none be."""
    for key, one in declared_keys(desired.spec).items():
        seen = observed.keys.get(key)
        wrong = [
            pod.name for pod in observed.pods if seen and pod.peer in seen.holders and not may_hold(one, pod)
        ]
        if wrong:
            yield f"shard key {shown_key(key)} is on {', '.join(wrong)} too: the QdrantCluster's loop moves it"


def _advice(live: Live) -> str:
    """A factor of writes that makes every restart of a peer an outage for writers."""
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
    return "Qdrant calls the collection red: see the log of its peers" if live.status == "red" else None


def _indexed(desired: Desired, observed: Observed) -> Condition:
    live = observed.collection
    if not isinstance(live, Live):
        return Condition("Indexed", None, Reason.NOT_KNOWN, "the collection cannot be read")
    missing = [i.field for i in desired.spec.payload_indexes if field_path(i.field) not in live.indexes]
    if missing:
        return Condition("Indexed", False, Reason.INDEX_MISSING, f"not built yet: {', '.join(missing)}")
    failure = _optimizer_failure(live)
    if failure:
        return Condition("Indexed", False, Reason.OPTIMIZER_FAILED, failure)
    if live.status == GREY:
        message = (
            "Qdrant has optimizations to do and starts them with the next write, as after each start of a peer: "
            "searches of vectors that are not indexed are slow; the operator starts them, unless it is paused"
        )
        return Condition("Indexed", False, Reason.OPTIMIZATIONS_PENDING, message)
    if live.status != "green":
        words = {"yellow": "the optimizer is running"}
        return Condition("Indexed", False, Reason.OPTIMIZING, words.get(live.status, live.status))
    return Condition(
        "Indexed",
        True,
        Reason.ALL_INDEXED,
        "every declared index is there and the optimizer is idle, as told by the one peer that was asked: it reads"
        " one replica of each shard, others may finish a little later",
    )


def facts(
    desired: Desired, observed: Observed, plan: CollectionPlan, *, owned_before: bool
) -> CollectionStatus:
    """Status without conditions; a fact that is not known now is absent."""
    live = observed.collection if isinstance(observed.collection, Live) else None
    silent = isinstance(observed.collection, Silent)
    return CollectionStatus(
        phase=_phase(desired, observed, plan),
        active_name=desired.name if live else None,
        owned=owned_before if silent else live is not None and live.owner == desired.owner,
        points=live.points if live else None,
        indexed_vectors=live.indexed_vectors if live else None,
        segments=live.segments if live else None,
        optimizer=live.optimizer if live else None,
        shards=CollectionShards(wanted=_wanted(observed), sound=_sound(observed)) if live else None,
        shards_sound=_counts(observed) if live else None,
        plan=tuple(str(step) for step in plan.steps[:SHOWN_STEPS]),
        blocked=tuple(_words(one) for one in plan.blocked[:SHOWN_STEPS]),
        drift=tuple(_drift(one) for one in _differences(desired, live))[:SHOWN_STEPS],
        aliases=_granted(desired, observed, plan),
        shard_keys=_granted_keys(desired, observed, plan),
    )


def not_asked(guard: str, message: str, *, refused: bool) -> CollectionStatus:
    """Status while the cluster is not asked, but for what stays of the last pass that asked it."""
    return CollectionStatus(
        phase=CollectionPhase.BLOCKED if refused else CollectionPhase.PENDING,
        blocked=(BlockedWords(step="look after the collection", guard=guard, message=message),),
    )


def _words(blocked: Blocked) -> BlockedWords:
    return BlockedWords(step=blocked.step, guard=blocked.guard.value, message=blocked.message)


def _differences(desired: Desired, live: Live | None) -> tuple[Difference, ...]:
    return differences(desired.spec, live.config) if live else ()


def _drift(one: Difference) -> Drift:
    return Drift(field=one.field, wanted=shown(one.wanted), actual=shown(one.actual), why=WHY[one.change])


def _wanted(observed: Observed) -> int:
    return sum(shard.wanted for shard in observed.shards)


def _sound(observed: Observed) -> int:
    return sum(min(len(shard.sound), shard.wanted) for shard in observed.shards)


def _counts(observed: Observed) -> str:
    return f"{_sound(observed)}/{_wanted(observed)}"


def _granted(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[str, ...]:
    """Aliases that are this object's, written before they are made: a crash in between loses none."""
    if isinstance(observed.collection, Silent):
        return tuple(sorted(desired.granted))
    ours = desired.granted | set(desired.spec.aliases)
    there = {alias for alias in ours if observed.aliases.get(alias) == desired.name}
    coming = {alias for step in plan.steps if isinstance(step, MoveAliases) for alias in step.put}
    return tuple(sorted((there if _owned(desired, observed) else set()) | coming))


def _granted_keys(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[ShardKey, ...]:
    """Shard keys that are this object's, written before they are made, and kept until they are gone."""
    if isinstance(observed.collection, Silent):
        return tuple(sorted(desired.granted_keys, key=shown_key))
    there = (desired.granted_keys | declared_keys(desired.spec).keys()) & observed.keys.keys()
    coming = {step.body["shard_key"] for step in plan.steps if isinstance(step, CreateShardKey)}
    return tuple(sorted((there if _owned(desired, observed) else set()) | coming, key=shown_key))


def _owned(desired: Desired, observed: Observed) -> bool:
    live = observed.collection
    return isinstance(live, Live) and live.owner == desired.owner


def _phase(desired: Desired, observed: Observed, plan: CollectionPlan) -> CollectionPhase:
    return next(phase for phase, holds in _phases(desired, observed, plan) if holds)


def _phases(
    desired: Desired, observed: Observed, plan: CollectionPlan
) -> Iterator[tuple[CollectionPhase, bool]]:
    live = observed.collection
    guards = {one.guard for one in plan.blocked}
    yield CollectionPhase.DELETING, desired.leaving
    stuck = any(needs_action(guard) for guard in guards) or CollectionGuard.CLUSTER_PAUSED in guards
    yield CollectionPhase.BLOCKED, stuck
    yield CollectionPhase.UNKNOWN, isinstance(live, Silent)
    creating = any(isinstance(step, CreateCollection) for step in plan.steps)
    yield CollectionPhase.CREATING, creating or CollectionGuard.PEERS_CATCHING_UP in guards
    yield CollectionPhase.PENDING, isinstance(live, Absent)
    yield CollectionPhase.UPDATING, bool(plan.steps or plan.blocked)
    ready = conditions(desired, observed, plan)[0]
    yield CollectionPhase.UPDATING, ready.reason in (Reason.REPLICAS_MISSING, Reason.REPLICAS_MISPLACED)
    yield CollectionPhase.DEGRADED, ready.status is not True
    yield CollectionPhase.READY, True
