"""What a QdrantCollection's status says besides its conditions, from what was observed and planned.

Pure. Decisions read nothing of it back except `owned`, `aliases` and `shardKeys`.
"""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.api import Blocked as BlockedStep
from qdrant_operator.api import CollectionPhase, CollectionShards, CollectionStatus, Drift
from qdrant_operator.domain.collection.conditions import (
    SHOWN_STEPS,
    Reason,
    conditions,
    sound_of_wanted,
    sound_replicas,
    wanted_replicas,
)
from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed
from qdrant_operator.domain.collection.settings import Change, Difference, differences, shown
from qdrant_operator.domain.collection.shards.keys import declared_keys, shown_key
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateCollection,
    CreateShardKey,
    MoveAliases,
    needs_action,
)
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import ShardKey, Silent

RECONCILE = "reconcile the collection"
"""The step that is blocked while the cluster is not asked."""
WHY = {
    Change.PATCH: "it is being changed",
    Change.FACTOR: "it is being changed, and replicas follow; if that is blocked, status.blocked says why",
    Change.REBUILD: "Qdrant cannot change it: create another collection, copy the points and move the alias",
    Change.ADD_VECTOR: "Qdrant 1.18 and later can add it through its API; this operator does not do that yet",
}


def facts(
    desired: Desired, observed: Observed, plan: CollectionPlan, *, owned_before: bool
) -> CollectionStatus:
    """Status without conditions; a fact that is not known now is absent."""
    live = observed.collection if isinstance(observed.collection, Live) else None
    silent = isinstance(observed.collection, Silent)
    return CollectionStatus(
        phase=_phase(desired, observed, plan),
        active_name=desired.name if live else None,
        owned=owned_before if silent else desired.owns(observed.collection),
        points=live.points if live else None,
        indexed_vectors=live.indexed_vectors if live else None,
        segments=live.segments if live else None,
        optimizer=live.optimizer if live else None,
        shards=CollectionShards(wanted=wanted_replicas(observed), sound=sound_replicas(observed))
        if live
        else None,
        shards_sound=sound_of_wanted(observed) if live else None,
        plan=tuple(str(step) for step in plan.steps[:SHOWN_STEPS]),
        blocked=tuple(_blocked(step) for step in plan.blocked[:SHOWN_STEPS]),
        drift=tuple(_drift(difference) for difference in _differences(desired, live)[:SHOWN_STEPS]),
        aliases=_granted(desired, observed, plan),
        shard_keys=_granted_keys(desired, observed, plan),
    )


def not_asked(guard: str, message: str, *, refused: bool) -> CollectionStatus:
    """Status while the cluster is not asked, but for what stays of the last pass that asked it."""
    return CollectionStatus(
        phase=CollectionPhase.BLOCKED if refused else CollectionPhase.PENDING,
        blocked=(BlockedStep(step=RECONCILE, guard=guard, message=message),),
    )


def _blocked(blocked: Blocked) -> BlockedStep:
    return BlockedStep(step=blocked.step, guard=blocked.guard.value, message=blocked.message)


def _differences(desired: Desired, live: Live | None) -> tuple[Difference, ...]:
    return differences(desired.spec, live.config) if live else ()


def _drift(difference: Difference) -> Drift:
    return Drift(
        field=difference.field,
        wanted=shown(difference.wanted),
        actual=shown(difference.actual),
        why=WHY[difference.change],
    )


def _granted(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[str, ...]:
    """Aliases of this object, written before they are created: a crash in between loses none."""
    if isinstance(observed.collection, Silent):
        return tuple(sorted(desired.granted))
    ours = desired.granted | set(desired.spec.aliases)
    there = {alias for alias in ours if observed.aliases.get(alias) == desired.name}
    coming = {alias for step in plan.steps if isinstance(step, MoveAliases) for alias in step.put}
    return tuple(sorted((there if desired.owns(observed.collection) else set()) | coming))


def _granted_keys(desired: Desired, observed: Observed, plan: CollectionPlan) -> tuple[ShardKey, ...]:
    """Shard keys of this object, written before they are created, and kept until they are gone."""
    if isinstance(observed.collection, Silent):
        return tuple(sorted(desired.granted_keys, key=shown_key))
    there = (desired.granted_keys | declared_keys(desired.spec).keys()) & observed.keys.keys()
    coming = {step.body["shard_key"] for step in plan.steps if isinstance(step, CreateShardKey)}
    return tuple(sorted((there if desired.owns(observed.collection) else set()) | coming, key=shown_key))


def _phase(desired: Desired, observed: Observed, plan: CollectionPlan) -> CollectionPhase:
    return next(phase for phase, holds in _phases(desired, observed, plan) if holds)


def _phases(
    desired: Desired, observed: Observed, plan: CollectionPlan
) -> Iterator[tuple[CollectionPhase, bool]]:
    live = observed.collection
    guards = {step.guard for step in plan.blocked}
    yield CollectionPhase.DELETING, desired.deleting
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
