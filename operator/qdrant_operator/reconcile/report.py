"""Writing status: only what changed, only on the version that was read."""

from __future__ import annotations

from typing import Any

from qdrant_operator.api.kinds import KINDS
from qdrant_operator.domain.common.conditions import Condition, merge
from qdrant_operator.domain.common.installations import rivalry
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


async def write_status(
    context: Context, kind: Kind, subject: Manifest, facts: Manifest, conditions: tuple[Condition, ...]
) -> Manifest:
    """Write `facts` and `conditions` unless the object already says the same; returns the object as it is now.

    `facts` is the whole status except conditions, observedGeneration and the record of the installation that acts: a
    field that is absent is removed, unless this release does not know it.
    """
    wanted = {**_of_newer_releases(kind, subject), **_status(context, subject, facts, conditions)}
    if wanted == (subject.get("status") or {}):
        return subject
    meta = subject["metadata"]
    return await context.kubernetes.patch_status(
        kind, meta["namespace"], meta["name"], resource_version=meta["resourceVersion"], status=wanted
    )


def _of_newer_releases(kind: Kind, subject: Manifest) -> Manifest:
    """Fields of status that no model of this release has: whoever wrote them may need them again."""
    known = next(one.status for one in KINDS if one.kind == kind.kind).fields()
    return {key: value for key, value in (subject.get("status") or {}).items() if key not in known}


def _status(
    context: Context, subject: Manifest, facts: Manifest, conditions: tuple[Condition, ...]
) -> Manifest:
    generation = int(subject["metadata"]["generation"])
    previous: list[Any] = (subject.get("status") or {}).get("conditions") or []
    given = {one.type for one in conditions}
    rivals = tuple(one for one in rivalry(subject, context.clock.now()) if one.type not in given)
    merged = merge(previous, (*conditions, *rivals), generation, context.clock.now())
    acting = (subject.get("status") or {}).get("operator")
    known = {key: value for key, value in {**facts, "operator": acting}.items() if value is not None}
    return {**known, "observedGeneration": generation, "conditions": merged}
