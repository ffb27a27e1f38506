"""Aliases of one QdrantCollection: which are created, moved or removed, and why one may not be.

Pure: no I/O, no clock. An alias that an older object claims is left alone.
"""

from __future__ import annotations

from qdrant_operator.domain.collection.observed import Desired, Observed
from qdrant_operator.domain.collection.steps import CollectionGuard, CollectionPlan, MoveAliases
from qdrant_operator.domain.common.plan import Blocked, Plan


def plan_aliases(desired: Desired, observed: Observed) -> CollectionPlan:
    """One step that creates what is declared and removes what was granted and is no longer declared."""
    refusals = {alias: _refusal(alias, desired, observed) for alias in desired.spec.aliases}
    allowed = [alias for alias, refusal in refusals.items() if refusal is None]
    put = tuple(alias for alias in allowed if observed.aliases.get(alias) != desired.name)
    dropped = desired.granted - set(desired.spec.aliases) - desired.claims.claimed_aliases
    remove = tuple(sorted(alias for alias in dropped if observed.aliases.get(alias) == desired.name))
    steps = (MoveAliases(desired.name, put, remove),) if put or remove else ()
    return Plan(steps, tuple(refusal for refusal in refusals.values() if refusal))


def _refusal(alias: str, desired: Desired, observed: Observed) -> Blocked | None:
    step = f"point alias {alias} to {desired.name}"
    if alias in observed.collections or alias == desired.name:
        whose = "this collection's own name" if alias == desired.name else "the name of another collection"
        message = f"alias {alias} is {whose}; choose another alias"
        return Blocked(step, CollectionGuard.ALIAS_IS_COLLECTION, message)
    rival = (desired.claims.alias_rivals or {}).get(alias)
    if rival:
        message = f"alias {alias} belongs to QdrantCollection {rival}, which is older; remove it from one of the two"
        return Blocked(step, CollectionGuard.ALIAS_CLASH, message)
    return None
