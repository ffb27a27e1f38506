"""Remembers when pods left the client Service, which the Service itself does not show.

Nodes apply a change of endpoints later than the operator, and send new connections to a pod that the Service no longer
lists. A peer that was removed from consensus answers those with 500. In memory only: after a restart of the operator it
waits for a pod once more at worst.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import PodState
from qdrant_operator.domain.manifests.stateful_set import DRAIN_SECONDS
from qdrant_operator.reconcile.ages import AgeTracker

LEAVES_WITHIN = timedelta(seconds=DRAIN_SECONDS)
"""kube-proxy writes its rules at most once a second (`minSyncPeriod`), and has to receive the change first."""


class ServiceMemory:
    """Pods of one cluster that are out of its Service."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._out: AgeTracker[str] = AgeTracker()

    def just_left(self, pods: Iterable[PodState], listed: frozenset[str], now: datetime) -> frozenset[str]:
        """Names of pods that the Service does not list, and that nodes may still send clients to."""
        out = {pod.uid: pod.name for pod in pods if not pod.serving and pod.address not in listed}
        return frozenset(out[uid] for uid, age in self._out.ages(out, now).items() if age < LEAVES_WITHIN)
