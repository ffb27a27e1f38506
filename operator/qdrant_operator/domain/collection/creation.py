"""Creating a collection, or adopting one that exists: the guards that block it, in order, and the step. Pure.

Qdrant places the shards of a new collection on every peer in consensus, whether it answers or not. So a collection is
created only while all wanted peers have joined and answer. An existing collection is adopted only if the spec changes
nothing about it: its data was written by a client that chose those settings.
"""

from __future__ import annotations

from collections.abc import Callable

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.indexes import field_path, index_changes
from qdrant_operator.domain.collection.observed import Desired, Live, Observed
from qdrant_operator.domain.collection.requests import OWNER_KEY, create_body
from qdrant_operator.domain.collection.settings import described, differences
from qdrant_operator.domain.collection.shards.factors import too_few_peers
from qdrant_operator.domain.collection.shards.keys import unlike_keys
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreateCollection,
    TakeOver,
)
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.qdrant.names import name_refusal

OTHER_NAME = "choose another spec.name, or delete this object, which owns nothing in Qdrant"

Gate = Callable[[Desired, Observed], str | None]
"""Why a step is blocked; None: it is not."""
Gates = tuple[tuple[CollectionGuard, Gate], ...]


def plan_creation(desired: Desired, observed: Observed) -> CollectionPlan:
    """Create the collection, marked as this object's in the same call, unless a guard blocks that."""
    blocked = _first_blocked(f"create collection {desired.name}", CREATION_GATES, desired, observed)
    if blocked:
        return Plan(blocked=(blocked,))
    body = {**create_body(desired.spec), "metadata": {OWNER_KEY: desired.owner}}
    return Plan((CreateCollection(desired.name, body),))


def plan_adoption(desired: Desired, observed: Observed) -> CollectionPlan:
    """Mark an existing collection as this object's, unless it is already or a guard blocks that."""
    if desired.owns(observed.collection):
        return Plan()
    blocked = _first_blocked(f"adopt collection {desired.name}", ADOPTION_GATES, desired, observed)
    if blocked:
        return Plan(blocked=(blocked,))
    return Plan((TakeOver(desired.name, desired.owner),))


def _first_blocked(step: str, gates: Gates, desired: Desired, observed: Observed) -> Blocked | None:
    for guard, gate in gates:
        message = gate(desired, observed)
        if message:
            return Blocked(step, guard, message)
    return None


def _name_unusable(desired: Desired, _observed: Observed) -> str | None:
    return name_refusal(desired.name)


def _name_is_alias(desired: Desired, observed: Observed) -> str | None:
    target = observed.aliases.get(desired.name)
    return f"{desired.name} is an alias of collection {target}: {OTHER_NAME}" if target else None


def _factor_above_peers(desired: Desired, _observed: Observed) -> str | None:
    factor, peers = desired.spec.replication_factor or 1, desired.wanted_peers
    return None if factor <= peers else too_few_peers(factor, peers)


def _peers_missing(desired: Desired, observed: Observed) -> str | None:
    expected = observed.expected_peers(desired)
    if observed.answering >= expected:
        return None
    return (
        f"{observed.answering} of {expected} peers answer, and Qdrant places shards on all of them; waiting for the"
        " others"
    )


def _adoption_never(desired: Desired, _observed: Observed) -> str | None:
    if desired.spec.adoption != "Never":
        return None
    return (
        f"collection {desired.name} already exists and spec.adoption is Never: set it to IfMatching, or choose another"
        " spec.name"
    )


def _differs(desired: Desired, observed: Observed) -> str | None:
    unlike = _unlike(desired.spec, observed)
    if not unlike:
        return None
    return (
        f"collection {desired.name} already exists and differs from the spec: {unlike}; change the spec to match the"
        " collection, or choose another spec.name"
    )


def _unlike(spec: CollectionSpec, observed: Observed) -> str:
    """Everything that the spec would change, in words."""
    live = observed.collection
    if not isinstance(live, Live):
        return ""
    texts = [described(difference) for difference in differences(spec, live.config)]
    texts += [text for _, text in unlike_keys(spec, observed.keys)]
    for index in spec.payload_indexes:
        info = live.indexes.get(field_path(index.field))
        changes = index_changes(index, info) if info else ""
        if changes:
            texts.append(f"payloadIndexes[{index.field}] {changes}")
    return "; ".join(texts)


CREATION_GATES: Gates = (
    (CollectionGuard.INVALID_SPEC, _name_unusable),
    (CollectionGuard.NAME_CLASH, _name_is_alias),
    (CollectionGuard.TOO_FEW_PEERS, _factor_above_peers),
    (CollectionGuard.PEERS_UNREACHABLE, _peers_missing),
)
"""What is wrong in the spec comes first: waiting does not help there."""

ADOPTION_GATES: Gates = (
    (CollectionGuard.ADOPTION_REFUSED, _adoption_never),
    (CollectionGuard.ADOPTION_REFUSED, _differs),
)
