"""Remembers since when pods are ready: an earlier request may still fail and mark a recovered replica Dead.

By the operator's clock, because the kubelet's may differ. A pod that restarted between two observations has another
`life`. In memory only: after a restart of the operator every pod counts as just back, which delays a rolling restart
that begins at that moment by some seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import PodState
from qdrant_operator.domain.cluster.pods.rollout import RETURN_SECONDS
from qdrant_operator.reconcile.ages import AgeTracker

FAILS_WITHIN = timedelta(seconds=RETURN_SECONDS)


class ReturnMemory:
    """Ready pods of one cluster."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._ready: AgeTracker[tuple[str, str]] = AgeTracker()

    def just_back(self, pods: Iterable[PodState], now: datetime) -> frozenset[str]:
        """Names of pods that have not been ready for long enough."""
        ready = {(pod.uid, pod.life): pod.name for pod in pods if pod.ready}
        return frozenset(
            ready[key] for key, age in self._ready.ages(ready, now).items() if age < FAILS_WITHIN
        )
