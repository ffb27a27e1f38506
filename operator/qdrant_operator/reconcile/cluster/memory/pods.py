"""Remembers since when pods are missing that the StatefulSet counts.

Its controller tries at once, and doubles the delay after each failure, up to 17 minutes (client-go's
`DefaultTypedControllerRateLimiter`: 5 ms doubled, at most 1,000 s). It fails while a pod of an earlier StatefulSet of
this name is stopping. The end of that pod does not trigger it, because it does not own the pod. Any write to the
StatefulSet does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.steps import RetriggerStatefulSet, Step
from qdrant_operator.reconcile.ages import AgeTracker

PATIENCE = timedelta(seconds=10)
"""A working controller creates pods within a second; a retrigger without effect, as with a quota, costs little."""


class PodMemory:
    """Missing pods of one cluster."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._missing: AgeTracker[int] = AgeTracker()

    def overdue(self, observed: Observed, now: datetime) -> tuple[int, ...]:
        """Ordinals of pods that have been missing for longer than their creation takes."""
        ages = self._missing.ages(missing_pods(observed), now)
        return tuple(ordinal for ordinal, age in ages.items() if age >= PATIENCE)

    def begun(self, step: Step) -> None:
        """The StatefulSet was retriggered: wait for the effect."""
        if isinstance(step, RetriggerStatefulSet):
            self._missing.forget()


def missing_pods(observed: Observed) -> list[int]:
    """Ordinals of pods that the StatefulSet counts and that do not exist."""
    existing = {pod.ordinal for pod in (*observed.pods, *filter(None, (observed.removed_pod,)))}
    return [ordinal for ordinal in range(observed.stateful_set_replicas or 0) if ordinal not in existing]
