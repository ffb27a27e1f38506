"""What to do about one QdrantCollection: declared against observed, as steps and as what a guard blocks.

Pure: no I/O, no clock. `unknown` is not `absent`: nothing is created or given up on a guess.
"""

from __future__ import annotations

from qdrant_operator.domain.collection.aliases import plan_aliases
from qdrant_operator.domain.collection.creation import OTHER_NAME, plan_adoption, plan_creation
from qdrant_operator.domain.collection.deletion import plan_deletion, plan_finalizer
from qdrant_operator.domain.collection.indexes import index_refusals, plan_indexes
from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed
from qdrant_operator.domain.collection.requests import expected_config, update_body
from qdrant_operator.domain.collection.settings import (
    IN_PLACE,
    Change,
    Difference,
    described,
    differences,
    shown,
)
from qdrant_operator.domain.collection.shards.factors import settle_factors
from qdrant_operator.domain.collection.shards.keys import plan_keys, unlike_keys
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CollectionStep,
    UpdateCollection,
)
from qdrant_operator.domain.common.plan import Blocked, Plan, held_back
from qdrant_operator.domain.qdrant.names import alias_refusals
from qdrant_operator.domain.qdrant.views import Silent

REBUILD_REMEDY = (
    "Qdrant cannot change it: restore the present value in the spec, or create another collection, copy the points and"
    " move the alias"
)
KEY_REMEDY = (
    "Qdrant cannot change it: restore the present number in the spec, or declare another key, copy the points and drop"
    " this one"
)


def plan(desired: Desired, observed: Observed) -> CollectionPlan:
    """Steps towards what is declared, in the order they are taken, and the blocked ones.

    After the first step the rest of the plan is what a fresh observation gives.
    """
    if desired.deleting:
        planned = plan_deletion(desired, observed)
    else:
        planned = plan_finalizer(desired) + _plan_collection(desired, observed)
    paused = desired.paused and not (desired.deleting and desired.cluster_gone)
    return _paused(planned) if paused else planned


def _paused(planned: CollectionPlan) -> CollectionPlan:
    """The same plan with every step blocked."""
    why = "the QdrantCluster is paused; set its spec.paused to false"
    blocked = tuple(Blocked(str(step), CollectionGuard.CLUSTER_PAUSED, why) for step in planned.steps)
    return Plan(blocked=(*blocked, *planned.blocked))


def _plan_collection(desired: Desired, observed: Observed) -> CollectionPlan:
    if desired.claims.rival:
        return _clash(desired, desired.claims.rival)
    wrong = (*index_refusals(desired.spec), *alias_refusals(desired.spec.aliases))
    if wrong:
        return _invalid(desired, wrong)
    match observed.collection:
        case Silent(reason):
            return _unreadable(desired, reason)
        case Absent():
            created = plan_creation(desired, observed)
            fresh = Live(expected_config(desired.spec))
            return created + plan_sync(desired, observed, fresh) if created.steps else created
        case Live() as live if live.unaware:
            return _catching_up(desired, observed, live)
        case Live() as live:
            adopted = plan_adoption(desired, observed)
            return adopted if adopted.blocked else adopted + plan_sync(desired, observed, live)


def _clash(desired: Desired, rival: str) -> CollectionPlan:
    message = f"collection {desired.name} belongs to QdrantCollection {rival}, which is older: {OTHER_NAME}"
    return held_back(f"create collection {desired.name}", CollectionGuard.NAME_CLASH, message)


def _invalid(desired: Desired, wrong: tuple[str, ...]) -> CollectionPlan:
    step = _reconcile(desired)
    return Plan(blocked=tuple(Blocked(step, CollectionGuard.INVALID_SPEC, sentence) for sentence in wrong))


def _unreadable(desired: Desired, reason: str) -> CollectionPlan:
    message = (
        f"Qdrant does not describe collection {desired.name}: {reason}; waiting for the peers that are down"
    )
    return held_back(_reconcile(desired), CollectionGuard.COLLECTION_UNREADABLE, message)


def _catching_up(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    message = (
        f"{live.unaware} of {observed.answering} peers do not know collection {desired.name} yet: they just joined, or"
        " the collection was just created"
    )
    return held_back(_reconcile(desired), CollectionGuard.PEERS_CATCHING_UP, message)


def _reconcile(desired: Desired) -> str:
    return f"reconcile collection {desired.name}"


def plan_sync(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    """Bring a collection in line; for a fresh one this is the forecast of what follows its creation."""
    settings = _settings(desired, observed, live)
    keys = _unlike_keys(desired, observed) + plan_keys(desired, observed, live)
    indexes = plan_indexes(desired.spec, desired.name, live.indexes, observed.building)
    return settings + keys + indexes + plan_aliases(desired, observed)


def _settings(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    unlike, waits = settle_factors(differences(desired.spec, live.config), desired, observed, live)
    changes = tuple(difference for difference in unlike if difference.change in IN_PLACE)
    refused = tuple(_refused(difference) for difference in unlike if difference.change not in IN_PLACE)
    if not changes:
        return Plan(blocked=(*waits, *refused))
    fields = tuple(difference.field for difference in changes)
    step = UpdateCollection(desired.name, update_body(changes, live.config), fields)
    return Plan((step,), (*waits, *refused))


def _refused(unlike: Difference) -> Blocked:
    step = f"change {unlike.field} from {shown(unlike.actual)} to {shown(unlike.wanted)}"
    remedy = _add_vector(unlike) if unlike.change is Change.ADD_VECTOR else REBUILD_REMEDY
    return Blocked(step, CollectionGuard.IMMUTABLE_FIELD_CHANGED, f"{described(unlike)}; {remedy}")


def _add_vector(unlike: Difference) -> str:
    """Qdrant's own call (since 1.18.0): no points need to be copied for another vector."""
    return (
        "Qdrant 1.18 and later can add a vector to an existing collection, and this operator does not do that yet: add"
        f" it with PUT /collections/<collection>/vectors/{unlike.path[-1]}, and the operator finds it, or remove it"
        " from the spec"
    )


def _unlike_keys(desired: Desired, observed: Observed) -> CollectionPlan:
    guard = CollectionGuard.IMMUTABLE_FIELD_CHANGED
    unlike = unlike_keys(desired.spec, observed.keys)
    return Plan(blocked=tuple(Blocked(step, guard, f"{text}; {KEY_REMEDY}") for step, text in unlike))


def refused_by_qdrant(step: CollectionStep, why: str) -> Blocked:
    """A step that Qdrant refused, with its own words; it is tried again after a pause."""
    message = f"cannot {step}: {why}; correct the cause, the operator tries again"
    return Blocked(str(step), CollectionGuard.QDRANT_REFUSED, message)
