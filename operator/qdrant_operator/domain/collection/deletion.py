"""Deleting a QdrantCollection: whether its collection goes with it, and the finalizer that waits for that. Pure.

A collection is deleted only if this object created or adopted it and deletionPolicy is Delete. No deletion waits for
a cluster that is gone, and none proceeds on silence.
"""

from __future__ import annotations

from collections.abc import Callable

from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionGuard,
    CollectionPlan,
    DeleteCollection,
    MoveAliases,
    RemoveFinalizer,
)
from qdrant_operator.domain.common.plan import Plan, held_back
from qdrant_operator.domain.qdrant.views import Silent

NOTHING: CollectionPlan = Plan()

Reason = Callable[[Desired, Observed], str | None]
"""Why nothing is deleted in Qdrant; None: this is no reason."""


def plan_finalizer(desired: Desired) -> CollectionPlan:
    """The object has the finalizer exactly while deletionPolicy is Delete."""
    wanted = desired.spec.deletion_policy == "Delete"
    if wanted and not desired.has_finalizer:
        return Plan((AddFinalizer(),))
    if desired.has_finalizer and not wanted:
        return Plan((RemoveFinalizer("deletionPolicy is Retain"),))
    return NOTHING


def plan_deletion(desired: Desired, observed: Observed) -> CollectionPlan:
    """Delete aliases and collection if they are this object's; the finalizer goes last."""
    if not desired.has_finalizer:
        return NOTHING
    for reason in REASONS_TO_KEEP:
        why = reason(desired, observed)
        if why:
            return Plan((RemoveFinalizer(why),))
    if isinstance(observed.collection, Live):
        return _delete(desired, observed)
    return _not_known(desired, observed)


def _delete(desired: Desired, observed: Observed) -> CollectionPlan:
    ours = tuple(sorted(alias for alias, target in observed.aliases.items() if target == desired.name))
    aliases = (MoveAliases(desired.name, (), ours),) if ours else ()
    last = RemoveFinalizer(f"collection {desired.name} does not exist")
    return Plan((*aliases, DeleteCollection(desired.name), last))


def _not_known(desired: Desired, observed: Observed) -> CollectionPlan:
    collection = observed.collection
    why = (
        collection.reason if isinstance(collection, Silent) else "no majority of the cluster's peers answers"
    )
    message = f"it is not known whether collection {desired.name} exists: {why}"
    return held_back(f"delete collection {desired.name}", CollectionGuard.PEERS_UNREACHABLE, message)


def _cluster_gone(desired: Desired, _observed: Observed) -> str | None:
    return "its QdrantCluster is gone, is being deleted, or never formed" if desired.cluster_gone else None


def _policy_retain(desired: Desired, _observed: Observed) -> str | None:
    return "deletionPolicy is Retain" if desired.spec.deletion_policy == "Retain" else None


def _name_of_another(desired: Desired, _observed: Observed) -> str | None:
    rival = desired.claims.rival
    return f"collection {desired.name} belongs to {rival}" if rival else None


def _absent(desired: Desired, observed: Observed) -> str | None:
    """A minority does not prove it."""
    proven = isinstance(observed.collection, Absent) and observed.answering * 2 > observed.members
    return f"collection {desired.name} does not exist" if proven else None


def _not_owned(desired: Desired, observed: Observed) -> str | None:
    if not isinstance(observed.collection, Live) or desired.owns(observed.collection):
        return None
    return f"collection {desired.name} was neither created nor adopted by this object"


REASONS_TO_KEEP: tuple[Reason, ...] = (
    _cluster_gone,
    _policy_retain,
    _name_of_another,
    _absent,
    _not_owned,
)
"""The first that holds is why the finalizer is removed and nothing is deleted."""
