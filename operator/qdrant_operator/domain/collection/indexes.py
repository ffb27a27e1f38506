"""Payload indexes, declared against built; and the optimizations that build vector indexes.

Qdrant answers 200 to a second index with another type on the same field and replaces the first, so types are
compared before calling.

A collection is grey after a restart: Qdrant has pending optimizations and starts none before the next write, so that a
peer that crashes while it optimizes can start nevertheless. Any update of the optimizers' settings starts them, even an
empty one; that is Qdrant's documented remedy. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from qdrant_operator.api import CollectionSpec, PayloadIndex
from qdrant_operator.domain.collection.observed import Desired, Live, Observed
from qdrant_operator.domain.collection.settings import same
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CollectionPlan,
    CreatePayloadIndex,
    DropPayloadIndex,
    ReplacePayloadIndex,
    StartOptimizations,
)
from qdrant_operator.domain.common.kinds import Json
from qdrant_operator.domain.common.plan import Plan, held_back

DEFAULTS: Mapping[str, Json] = {
    "is_tenant": False,
    "is_principal": False,
    "lookup": True,
    "range": True,
    "tokenizer": "word",
    "lowercase": True,
    "phrase_matching": False,
    "on_disk": False,
}
"""What Qdrant 1.19 means when an index does not mention an option."""
GREY = "grey"
"""Status of a collection with optimizations that Qdrant has not begun."""
_KEY = r'(?:[^\W]|-)+|"[^"\\]*"'
_PATH = re.compile(rf"(?:{_KEY})(?:\.(?:{_KEY})|\[\d*\])*")
_QUOTED_NEEDLESSLY = re.compile(r'"((?:\w|-)+)"')


def field_path(field: str) -> str:
    """A payload field as Qdrant writes it back: without needless quotes."""
    return _QUOTED_NEEDLESSLY.sub(r"\1", field)


def index_refusals(spec: CollectionSpec) -> Iterator[str]:
    """What is wrong with payload fields, with the remedy; the schema refuses everything else."""
    seen: set[str] = set()
    for index in spec.payload_indexes:
        if not _PATH.fullmatch(index.field):
            yield (
                f"payloadIndexes: field {index.field!r} is not a payload path; use names of letters, digits, _ and -"
                ' (others in "quotes"), joined by dots, with [] for lists'
            )
        if field_path(index.field) in seen:
            yield f"payloadIndexes: field {index.field} is listed twice; remove one of the two"
        seen.add(field_path(index.field))


def options(index: PayloadIndex) -> dict[str, Json]:
    """The options that were set."""
    return {key: value for key, value in index.schema_words().items() if key != "type"}


def plan_indexes(
    spec: CollectionSpec, name: str, built: Mapping[str, Json], building: frozenset[str]
) -> CollectionPlan:
    """Build what is missing, replace what differs, and drop what is not declared if prunePayloadIndexes is set.

    `built` is `payload_schema` of GET /collections/{name}; `building` are fields whose change was requested a moment
    ago: Qdrant works on it in the background and shows nothing until it is done.
    """
    plan: CollectionPlan = Plan()
    for index in spec.payload_indexes:
        plan += _plan_index(index, name, built.get(field_path(index.field)), building)
    return plan + _prune(spec, name, built, building)


def _plan_index(index: PayloadIndex, name: str, info: Json, building: frozenset[str]) -> CollectionPlan:
    field = field_path(index.field)
    changes = index_changes(index, info) if info else "missing"
    if not changes:
        return Plan()
    if field in building:
        return _being_built(field)
    if info is None:
        return Plan((CreatePayloadIndex(name, field, index.schema_words()),))
    return Plan((ReplacePayloadIndex(name, field, _replacement(index, info), changes),))


def _being_built(field: str) -> CollectionPlan:
    message = f"Qdrant is building the index on payload field {field}; it is not finished on every shard yet"
    return held_back(f"build the index on payload field {field}", CollectionGuard.INDEX_BUILDING, message)


def index_changes(index: PayloadIndex, info: Json) -> str:
    """How a built index differs from the declared one, in words; empty when it does not."""
    if info["data_type"] != index.type:
        return f"type: {info['data_type']} -> {index.type}"
    params = info.get("params") or {}
    changes = []
    for key, wanted in options(index).items():
        actual = _known(params, key)
        if not same(wanted, actual):
            changes.append(f"{to_camel(key)}: {actual} -> {wanted}")
    return ", ".join(changes)


def _known(params: Mapping[str, Json], key: str) -> Json:
    actual = params.get(key)
    return DEFAULTS.get(key) if actual is None else actual


def _replacement(index: PayloadIndex, info: Json) -> dict[str, Any]:
    """The declared options over those the index has: what was not declared stays."""
    known = (info.get("params") or {}) if info["data_type"] == index.type else {}
    return {**{key: value for key, value in known.items() if value is not None}, **index.schema_words()}


def _prune(
    spec: CollectionSpec, name: str, built: Mapping[str, Json], building: frozenset[str]
) -> CollectionPlan:
    if not spec.prune_payload_indexes:
        return Plan()
    declared = {field_path(index.field) for index in spec.payload_indexes}
    extra = sorted(built.keys() - declared - building)
    return Plan(tuple(DropPayloadIndex(name, field) for field in extra))


def optimizations_to_start(
    desired: Desired, observed: Observed, planned: CollectionPlan
) -> StartOptimizations | None:
    """The call that starts them, once no other step is pending or blocked; only for a collection of this object."""
    live = observed.collection
    if planned.steps or planned.blocked or desired.paused or desired.deleting or not isinstance(live, Live):
        return None
    return StartOptimizations(desired.name) if desired.owns(live) and live.status == GREY else None


def is_settled(observed: Observed) -> bool:
    """Whether the collection has nothing left to optimize."""
    return isinstance(observed.collection, Live) and observed.collection.status == "green"
