"""Finds why pods are stuck, once a pod makes no progress; a healthy cluster costs no request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Observed, PodState
from qdrant_operator.domain.cluster.pods.stuck import (
    StuckPod,
    missing_labels,
    not_created,
    not_started,
    not_stopped,
    unlabelled,
)
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.reconcile.ages import AgeTracker
from qdrant_operator.reconcile.cluster.memory.pods import PATIENCE, missing_pods
from qdrant_operator.reconcile.objects.child_events import child_refusal, pod_trouble
from qdrant_operator.reconcile.ports import Kind, Kubernetes, Manifest

ASKED_EVERY = timedelta(seconds=15)
"""Pause between two requests for the Events of stuck pods."""
SLOW_START = timedelta(minutes=1)
"""The Events of a container that has not started for this long are read: images and volumes take time."""


class StuckPods:
    """Pods of one cluster that make no progress, and the known causes."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._missing: AgeTracker[int] = AgeTracker()
        self._known: tuple[StuckPod, ...] = ()
        self._asked: datetime | None = None

    async def find(
        self, kubernetes: Kubernetes, meta: Manifest, observed: Observed, now: datetime
    ) -> tuple[StuckPod, ...]:
        """Stuck pods of the QdrantCluster with this metadata, with messages."""
        ages = self._missing.ages(missing_pods(observed), now)
        late = {ordinal: now - age for ordinal, age in ages.items() if age >= PATIENCE}
        slow = [pod for pod in observed.pods if _is_slow(pod, now)]
        stopping = (
            not_stopped(pod.name, pod.node, pod.deleted, now) for pod in observed.pods if pod.terminating
        )
        stuck = tuple(pod for pod in stopping if pod)
        if not late and not slow:
            self._known, self._asked = (), None
            return stuck
        if self._asked is None or now - self._asked >= ASKED_EVERY:
            self._asked = now
            created = await _not_created(kubernetes, meta, late)
            self._known = (*created, *await _not_started(kubernetes, meta["namespace"], slow))
        present = {pod.name for pod in observed.pods if pod.ready}
        return (*(pod for pod in self._known if pod.pod not in present), *stuck)


def _is_slow(pod: PodState, now: datetime) -> bool:
    """It exists, and neither its status nor its peer gives a reason."""
    silent = not (pod.ready or pod.terminating or pod.waiting or pod.started) and bool(pod.created)
    return silent and now - datetime.fromisoformat(pod.created) >= SLOW_START


async def _not_created(
    kubernetes: Kubernetes, meta: Manifest, late: dict[int, datetime]
) -> tuple[StuckPod, ...]:
    stateful_set = kubernetes.cached_one(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    if not late or stateful_set is None:
        return ()
    cause = await child_refusal(kubernetes, stateful_set)
    found = []
    for ordinal, since in late.items():
        name = names.pod_name(meta["name"], ordinal)
        hidden = await _without_labels(kubernetes, meta, name, since)
        found.append(hidden or not_created(name, since, cause))
    return tuple(found)


async def _without_labels(
    kubernetes: Kubernetes, meta: Manifest, name: str, since: datetime
) -> StuckPod | None:
    try:
        pod = await kubernetes.read(Kind.POD, meta["namespace"], name)
    except (Refused, Retryable):
        return None
    wanted = {**names.peer_selector(meta["name"]), **names.MANAGED}
    missing = missing_labels(pod, wanted) if pod is not None else {}
    return unlabelled(name, missing, since) if missing else None


async def _not_started(
    kubernetes: Kubernetes, namespace: str, slow: Iterable[PodState]
) -> tuple[StuckPod, ...]:
    found = []
    for pod in slow:
        manifest = kubernetes.cached_one(Kind.POD, namespace, pod.name)
        cause = await pod_trouble(kubernetes, manifest) if manifest is not None else None
        if cause is not None:
            found.append(not_started(pod.name, pod.created, cause))
    return tuple(found)
