"""What to do about one QdrantCollection: declared against observed, as steps and as what holds them back.

Pure: no I/O, no clock. `unknown` is not `absent`: nothing is created or given up on a guess.
"""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.aliases import plan_aliases
from qdrant_operator.domain.collection.factors import settle_factors, too_few_peers
from qdrant_operator.domain.collection.indexes import field_path, index_changes, index_refusals, plan_indexes
from qdrant_operator.domain.collection.observed import Absent, Desired, Live, Observed
from qdrant_operator.domain.collection.requests import OWNER_KEY, create_body, expected_config, update_body
from qdrant_operator.domain.collection.settings import IN_PLACE, Change, Difference, differences
from qdrant_operator.domain.collection.shard_keys import plan_keys, unlike_keys
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionGuard,
    CollectionPlan,
    CollectionStep,
    CreateCollection,
    DeleteCollection,
    MoveAliases,
    RemoveFinalizer,
    TakeOver,
    UpdateCollection,
)
from qdrant_operator.domain.common.kinds import Json
from qdrant_operator.domain.common.plan import Blocked, Plan, held_back
from qdrant_operator.domain.qdrant.names import alias_refusals, name_refusal
from qdrant_operator.domain.qdrant.views import Silent

NOTHING: CollectionPlan = Plan()


def plan(desired: Desired, observed: Observed) -> CollectionPlan:
    """Steps towards what is declared, in the order they are taken, and what is held back.

    After the first step the rest of the plan is what a fresh look gives.
    """
    planned = _farewell(desired, observed) if desired.leaving else _upkeep(desired, observed)
    return _paused(planned) if desired.paused and not _may_leave(desired) else planned


def _may_leave(desired: Desired) -> bool:
    return desired.leaving and desired.cluster_leaving


def _paused(planned: CollectionPlan) -> CollectionPlan:
    """The same plan with every step held back."""
    why = "the QdrantCluster is paused; set its spec.paused to false"
    waiting = tuple(Blocked(str(step), CollectionGuard.CLUSTER_PAUSED, why) for step in planned.steps)
    return Plan(blocked=(*waiting, *planned.blocked))


def _farewell(desired: Desired, observed: Observed) -> CollectionPlan:
    """Delete what is ours if that is wished; the finalizer goes last."""
    if not desired.held:
        return NOTHING
    kept = _why_kept(desired, observed)
    if kept:
        return Plan((RemoveFinalizer(kept),))
    if isinstance(observed.collection, Live):
        return _deletion(desired, observed)
    why = (
        observed.collection.reason
        if isinstance(observed.collection, Silent)
        else "only a minority of its peers answers"
    )
    return held_back(
        f"delete collection {desired.name}",
        CollectionGuard.PEERS_UNREACHABLE,
        f"cannot tell whether collection {desired.name} is there: {why}",
    )


def _why_kept(desired: Desired, observed: Observed) -> str | None:
    """Why nothing is deleted in Qdrant; None when something is, or when that cannot be told."""
    if desired.cluster_leaving:
        return "its QdrantCluster is gone, going, or never held anything"
    if desired.spec.deletion_policy == "Retain":
        return "deletionPolicy is Retain"
    if desired.claims.rival:
        return f"collection {desired.name} belongs to {desired.claims.rival}"
    if isinstance(observed.collection, Absent) and observed.answering * 2 > observed.members:
        return f"collection {desired.name} is not there"
    if isinstance(observed.collection, Live) and observed.collection.owner != desired.owner:
        return f"collection {desired.name} was neither made nor adopted by this object"
    return None


def _deletion(desired: Desired, observed: Observed) -> CollectionPlan:
    ours = tuple(sorted(alias for alias, name in observed.aliases.items() if name == desired.name))
    aliases = (MoveAliases(desired.name, (), ours),) if ours else ()
    gone = RemoveFinalizer(f"collection {desired.name} is not there")
    return Plan((*aliases, DeleteCollection(desired.name), gone))


def _upkeep(desired: Desired, observed: Observed) -> CollectionPlan:
    return _custody(desired) + _collection(desired, observed)


def _custody(desired: Desired) -> CollectionPlan:
    """The finalizer stands exactly while deletionPolicy is Delete."""
    wanted = desired.spec.deletion_policy == "Delete"
    if wanted and not desired.held:
        return Plan((AddFinalizer(),))
    if desired.held and not wanted:
        return Plan((RemoveFinalizer("deletionPolicy is Retain"),))
    return NOTHING


def _collection(desired: Desired, observed: Observed) -> CollectionPlan:
    if desired.claims.rival:
        return _clash(desired, f"QdrantCollection {desired.claims.rival} is older and has it")
    wrong = (*index_refusals(desired.spec), *alias_refusals(desired.spec.aliases))
    if wrong:
        return _invalid(desired, wrong)
    match observed.collection:
        case Silent(reason):
            return _unreadable(desired, reason)
        case Absent():
            return _creation(desired, observed)
        case Live() as live if live.unaware:
            return _catching_up(desired, observed, live)
        case Live() as live:
            return _adoption(desired, observed, live) or _sync(desired, observed, live)


def _clash(desired: Desired, why: str) -> CollectionPlan:
    remedy = "choose another spec.name, or delete this object, which owns nothing in Qdrant"
    message = f"the name {desired.name} is taken: {why}; {remedy}"
    return held_back(f"create collection {desired.name}", CollectionGuard.NAME_CLASH, message)


def _invalid(desired: Desired, wrong: tuple[str, ...]) -> CollectionPlan:
    step = f"look after collection {desired.name}"
    return Plan(blocked=tuple(Blocked(step, CollectionGuard.INVALID_SPEC, sentence) for sentence in wrong))


def _unreadable(desired: Desired, reason: str) -> CollectionPlan:
    message = (
        f"Qdrant does not tell about collection {desired.name}: {reason}; waiting for peers that are down"
    )
    return held_back(f"look after collection {desired.name}", CollectionGuard.COLLECTION_UNREADABLE, message)


def _catching_up(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    message = (
        f"{live.unaware} of {observed.answering} peers do not know collection {desired.name} yet:"
        " they have just joined, or the collection has just been made"
    )
    return held_back(f"look after collection {desired.name}", CollectionGuard.PEERS_CATCHING_UP, message)


def _creation(desired: Desired, observed: Observed) -> CollectionPlan:
    step = f"create collection {desired.name}"
    unfit = name_refusal(desired.name)
    if unfit:
        return held_back("create the collection", CollectionGuard.INVALID_SPEC, unfit)
    pointed = observed.aliases.get(desired.name)
    if pointed:
        return _clash(desired, f"it is an alias of collection {pointed}")
    few = _too_few_peers(desired)
    if few:
        return held_back(step, CollectionGuard.TOO_FEW_PEERS, few)
    expected = max(observed.members, desired.wanted_peers)
    if observed.answering < expected:
        message = (
            f"{observed.answering} of {expected} peers answer; Qdrant would put shards on the others too."
            " Waiting for all"
        )
        return held_back(step, CollectionGuard.PEERS_UNREACHABLE, message)
    return _made(desired, observed)


def _too_few_peers(desired: Desired) -> str | None:
    factor, peers = desired.spec.replication_factor or 1, desired.wanted_peers
    return None if factor <= peers else too_few_peers(factor, peers)


def _made(desired: Desired, observed: Observed) -> CollectionPlan:
    body = {**create_body(desired.spec), "metadata": {OWNER_KEY: desired.owner}}
    fresh = Live(expected_config(desired.spec))
    return Plan((CreateCollection(desired.name, body),)) + _sync(desired, observed, fresh)


def _adoption(desired: Desired, observed: Observed, live: Live) -> CollectionPlan | None:
    """None: the collection is ours already, or may become ours without any change (the step is in `_sync`)."""
    if live.owner == desired.owner:
        return None
    step = f"adopt collection {desired.name}"
    if desired.spec.adoption == "Never":
        message = (
            f"collection {desired.name} exists already and spec.adoption is Never;"
            " set it to IfMatching or choose another spec.name"
        )
        return held_back(step, CollectionGuard.ADOPTION_REFUSED, message)
    unlike = _unlike(desired.spec, observed, live)
    if not unlike:
        return None
    message = (
        f"collection {desired.name} exists already and differs: {unlike};"
        " write the spec as the collection is, or choose another spec.name"
    )
    return held_back(step, CollectionGuard.ADOPTION_REFUSED, message)


def _unlike(spec: CollectionSpec, observed: Observed, live: Live) -> str:
    fields = [said(one) for one in differences(spec, live.config)]
    fields += [text for _, text in unlike_keys(spec, observed.keys)]
    built = ((index, live.indexes.get(field_path(index.field))) for index in spec.payload_indexes)
    changes = ((index.field, index_changes(index, info)) for index, info in built if info)
    return "; ".join([*fields, *(f"payloadIndexes[{name}] {text}" for name, text in changes if text)])


def said(difference: Difference) -> str:
    """A difference in words."""
    return f"{difference.field} is {shown(difference.actual)}, wanted {shown(difference.wanted)}"


def shown(value: Json) -> str:
    """A setting's value for people."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {shown(one)}" for key, one in value.items() if one is not None)
        return f"{{{inner}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else str(value)


def _sync(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    """Bring a collection in line; for a fresh one this is the forecast of what follows its creation."""
    spec, name = desired.spec, desired.name
    theirs = live.owner != desired.owner and isinstance(observed.collection, Live)
    adopted = Plan((TakeOver(name, desired.owner),)) if theirs else NOTHING
    settings = _settings(desired, observed, live)
    keys = _unlike_keys(desired, observed) + plan_keys(desired, observed, live)
    indexes = plan_indexes(spec, name, live.indexes, observed.building)
    return adopted + settings + keys + indexes + plan_aliases(desired, observed)


REBUILD_REMEDY = (
    "Qdrant cannot change it: write the present value, or make a new collection, copy the points and"
    " move the alias"
)


def _settings(desired: Desired, observed: Observed, live: Live) -> CollectionPlan:
    unlike, waits = settle_factors(differences(desired.spec, live.config), desired, observed, live)
    changes = tuple(one for one in unlike if one.change in IN_PLACE)
    body, fields = update_body(changes, live.config), tuple(one.field for one in changes)
    steps = (UpdateCollection(desired.name, body, fields),) if changes else ()
    refused = (_refused(one) for one in unlike if one.change not in IN_PLACE)
    return Plan(steps, (*waits, *refused))


def _refused(unlike: Difference) -> Blocked:
    step = f"change {unlike.field} from {shown(unlike.actual)} to {shown(unlike.wanted)}"
    remedy = _add_vector(unlike) if unlike.change is Change.ADD_VECTOR else REBUILD_REMEDY
    return Blocked(step, CollectionGuard.IMMUTABLE_FIELD_CHANGED, f"{said(unlike)}; {remedy}")


def _add_vector(unlike: Difference) -> str:
    """Qdrant's own call (since 1.18.0): nothing needs to be copied for a further vector."""
    return (
        "Qdrant 1.18 and later can add a vector to a collection that exists, and this operator does not do that yet: "
        f"add it with PUT /collections/<collection>/vectors/{unlike.path[-1]}, which this object then finds, or "
        "remove it from the spec"
    )


def _unlike_keys(desired: Desired, observed: Observed) -> CollectionPlan:
    remedy = (
        "Qdrant cannot change it: write the present number, or declare a further key, copy the points and drop"
        " this one"
    )
    guard = CollectionGuard.IMMUTABLE_FIELD_CHANGED
    return Plan(
        blocked=tuple(
            Blocked(step, guard, f"{text}; {remedy}")
            for step, text in unlike_keys(desired.spec, observed.keys)
        )
    )


def refused_by_qdrant(step: CollectionStep, why: str) -> Blocked:
    """A step that Qdrant said no to, with its own words; it is tried again after a pause."""
    return Blocked(
        str(step), CollectionGuard.QDRANT_REFUSED, f"cannot {step}: {why}; put that right, it is tried again"
    )
