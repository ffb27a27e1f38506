"""What this process asked of Qdrant lately for each QdrantCollection: a restart forgets it, and asks once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from qdrant_operator.domain.collection.steps import (
    CollectionStep,
    CreatePayloadIndex,
    DropPayloadIndex,
    ReplacePayloadIndex,
    StartOptimizations,
    StepKey,
    step_key,
)
from qdrant_operator.domain.common.timing.backoff import Backoff

REPEATED_AFTER = timedelta(seconds=60)
"""A request for an index that does not show is repeated: Qdrant builds in the background and shows it at the end.
Repeating is harmless (each request is one entry in the shards' queues), repeating every second is not."""
RETRIED_AFTER = timedelta(seconds=30)
"""A step that Qdrant refused is tried again at this pace: the cause may have changed."""
RESTARTS = Backoff(first=60.0, longest=3600.0)
"""Pauses before pending optimizations are started again."""
FORGOTTEN_AFTER = timedelta(minutes=10)
"""Longer than the longest pause between two passes over one object."""

IndexStep = CreatePayloadIndex | ReplacePayloadIndex | DropPayloadIndex


class Memory:
    """What was asked and refused, by the uid of the QdrantCollection."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` is the clock port's."""
        self._now = now
        self._recent: dict[str, _Recent] = {}

    def begin(self, uid: str, generation: int) -> None:
        """A pass begins; what was asked or refused for another generation of the spec is forgotten."""
        known = self._recent.get(uid)
        if known is None or known.generation != generation:
            self._forget()
            known = self._recent[uid] = _Recent(generation, self._now())
        known.begun = self._now()

    def _forget(self) -> None:
        """Objects that had no pass for long are gone."""
        oldest = self._now() - FORGOTTEN_AFTER
        self._recent = {uid: known for uid, known in self._recent.items() if known.begun > oldest}

    def done(self, uid: str, step: CollectionStep) -> None:
        """A step was carried out."""
        known = self._recent[uid]
        known.refused.pop(step_key(step), None)
        if isinstance(step, StartOptimizations):
            known.starts += 1
            known.started = self._now()
        if isinstance(step, IndexStep):
            known.asked[step.field] = self._now()

    def refused(self, uid: str, step: CollectionStep, why: str) -> None:
        """A step was refused."""
        self._recent[uid].refused[step_key(step)] = _Refusal(why, self._now())

    def building(self, uid: str) -> frozenset[str]:
        """Payload fields whose index was requested a moment ago."""
        asked = self._recent[uid].asked.items()
        return frozenset(field for field, when in asked if self._now() - when < REPEATED_AFTER)

    def optimized(self, uid: str) -> None:
        """Nothing is left to optimize: the next start is a first one."""
        self._recent[uid].starts = 0

    def may_start(self, uid: str, step: StartOptimizations) -> bool:
        """Whether pending optimizations may be started now."""
        known = self._recent[uid]
        if known.started is None or not known.starts:
            return not self.backs_off(uid, step)
        pause = timedelta(seconds=RESTARTS.pause(known.starts))
        return self._now() - known.started >= pause and not self.backs_off(uid, step)

    def refusal(self, uid: str, step: CollectionStep) -> str | None:
        """Why a step was refused when it was last tried; None when it was not."""
        known = self._recent[uid].refused.get(step_key(step))
        return known.why if known else None

    def backs_off(self, uid: str, step: CollectionStep) -> bool:
        """Whether a refused step is not to be tried again yet."""
        known = self._recent[uid].refused.get(step_key(step))
        return known is not None and self._now() - known.when < RETRIED_AFTER


@dataclass(frozen=True, slots=True)
class _Refusal:
    why: str
    when: datetime


@dataclass(slots=True)
class _Recent:
    generation: int
    begun: datetime
    asked: dict[str, datetime] = field(default_factory=dict)
    refused: dict[StepKey, _Refusal] = field(default_factory=dict)
    starts: int = 0
    """How often optimizations were started since none were left."""
    started: datetime | None = None
