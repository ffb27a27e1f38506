"""Writing status: only what changed, only on the version that was read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from qdrant_operator.api.base import Status
from qdrant_operator.api.kinds import KINDS
from qdrant_operator.domain.common.conditions import Condition, merge
from qdrant_operator.domain.common.installations import rivalry
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest

COMMON = frozenset({"conditions", "observedGeneration"})
"""Fields of status that every report writes."""


async def write_status(
    context: Context,
    kind: Kind,
    subject: Manifest,
    facts: Status | Manifest,
    conditions: tuple[Condition, ...],
    *,
    kept: Collection[str] = (),
) -> Manifest:
    """Write `facts` and `conditions` unless the object already says the same; returns the object as it is now.

    `facts` is the whole status except conditions, observedGeneration and the record of the installation that acts: a
    field that is absent from it is removed, unless `kept` names it or this release does not know it. A field that is
    kept stays exactly as it is in the object, whichever release wrote it.
    """
    stated = facts.facts() if isinstance(facts, Status) else facts
    status = {
        **_kept(kind, subject, kept),
        **{field: value for field, value in stated.items() if value is not None and field != "operator"},
        "observedGeneration": int(subject["metadata"]["generation"]),
        "conditions": _conditions(context, subject, conditions),
    }
    return await _write(context, kind, subject, status)


async def amend_status(
    context: Context, kind: Kind, subject: Manifest, facts: Status, *, without: Collection[str] = ()
) -> Manifest:
    """Write the fields that `facts` sets and remove those in `without`; everything else in status stays as it is."""
    present = subject.get("status") or {}
    status = {field: value for field, value in present.items() if field not in without}
    return await _patch(context, kind, subject, {**status, **facts.facts()})


def every_field(kind: Kind, *, but: Collection[str] = ()) -> frozenset[str]:
    """Names of the fields that this release knows in the status of a kind, except `but` and those of every report."""
    return status_model(kind).fields() - COMMON - frozenset(but)


def status_model(kind: Kind) -> type[Status]:
    """The model of a kind's status."""
    return next(custom.status for custom in KINDS if custom.kind == kind.kind)


def _kept(kind: Kind, subject: Manifest, kept: Collection[str]) -> Manifest:
    """Fields that stay: those named, the installation's record, and those that only newer releases know."""
    rewritten = (every_field(kind) | COMMON) - {"operator", *kept}
    present = subject.get("status") or {}
    return {field: value for field, value in present.items() if field not in rewritten}


def _conditions(
    context: Context, subject: Manifest, conditions: tuple[Condition, ...]
) -> list[dict[str, Any]]:
    now, generation = context.clock.now(), int(subject["metadata"]["generation"])
    given = {condition.type for condition in conditions}
    rivals = tuple(condition for condition in rivalry(subject, now) if condition.type not in given)
    previous: list[Any] = (subject.get("status") or {}).get("conditions") or []
    return merge(previous, (*conditions, *rivals), generation, now)


async def _write(context: Context, kind: Kind, subject: Manifest, status: Manifest) -> Manifest:
    if status == (subject.get("status") or {}):
        return subject
    return await _patch(context, kind, subject, status)


async def _patch(context: Context, kind: Kind, subject: Manifest, status: Manifest) -> Manifest:
    meta = subject["metadata"]
    return await context.kubernetes.patch_status(
        kind, meta["namespace"], meta["name"], resource_version=meta["resourceVersion"], status=status
    )
