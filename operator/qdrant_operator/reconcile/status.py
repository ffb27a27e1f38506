"""Writing status: only what changed, only on the version that was read."""

from __future__ import annotations

from typing import Any

from qdrant_operator.domain.conditions import Condition, merge
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.world import World


async def write_status(
    world: World, kind: Kind, subject: Manifest, facts: Manifest, conditions: tuple[Condition, ...]
) -> Manifest:
    """Write `facts` and `conditions` unless the object already says the same; returns the object as it is now.

    `facts` is the whole status except conditions and observedGeneration: a field that is absent is removed.
    """
    wanted = _status(world, subject, facts, conditions)
    if wanted == (subject.get("status") or {}):
        return subject
    meta = subject["metadata"]
    return await world.kubernetes.patch_status(
        kind, meta["namespace"], meta["name"], resource_version=meta["resourceVersion"], status=wanted
    )


def _status(world: World, subject: Manifest, facts: Manifest, conditions: tuple[Condition, ...]) -> Manifest:
    generation = int(subject["metadata"]["generation"])
    previous: list[Any] = (subject.get("status") or {}).get("conditions") or []
    merged = merge(previous, conditions, generation, world.clock.now())
    known = {key: value for key, value in facts.items() if value is not None}
    return {**known, "observedGeneration": generation, "conditions": merged}
