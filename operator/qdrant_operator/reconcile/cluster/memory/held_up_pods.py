"""Looks for what holds pods up, once a pod makes no progress: nothing is asked for a cluster that is well."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Observed, PodState
from qdrant_operator.domain.cluster.pods.trouble import (
    HeldUp,
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
"""Pause between two requests for the Events of what makes no progress."""
SLOW_START = timedelta(minutes=1)
"""A container that has not been started for so long is asked about: images and volumes take their time."""


class HeldUpPods:
    """Pods of one cluster that make no progress, and what was found out about them."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._missing: AgeTracker[int] = AgeTracker()
        self._known: tuple[HeldUp, ...] = ()
        self._asked: datetime | None = None

    async def find(
        self, kubernetes: Kubernetes, meta: Manifest, observed: Observed, now: datetime
    ) -> tuple[HeldUp, ...]:
        """What holds up pods of the QdrantCluster with this metadata, in words."""
        ages = self._missing.ages(missing_pods(observed), now)
        late = {ordinal: now - age for ordinal, age in ages.items() if age >= PATIENCE}
        slow = [pod for pod in observed.pods if _is_slow(pod, now)]
        stopping = (
            not_stopped(pod.name, pod.node, pod.deleted, now) for pod in observed.pods if pod.terminating
        )
        stuck = tuple(one for one in stopping if one)
        if not late and not slow:
            self._known, self._asked = (), None
            return stuck
        if self._asked is None or now - self._asked >= ASKED_EVERY:
            self._asked = now
            created = await _not_created(kubernetes, meta, late)
            self._known = (*created, *await _not_started(kubernetes, meta["namespace"], slow))
        present = {pod.name for pod in observed.pods if pod.ready}
        return (*(one for one in self._known if one.pod not in present), *stuck)


def _is_slow(pod: PodState, now: datetime) -> bool:
    """It is there, and neither its status nor its peer says anything."""
    silent = not (pod.ready or pod.terminating or pod.waiting or pod.started) and bool(pod.created)
    return silent and now - datetime.fromisoformat(pod.created) >= SLOW_START


async def _not_created(
    kubernetes: Kubernetes, meta: Manifest, late: dict[int, datetime]
) -> tuple[HeldUp, ...]:
    stateful_set = kubernetes.cached_one(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    if not late or stateful_set is None:
        return ()
    told = await child_refusal(kubernetes, stateful_set)
    found = []
    for ordinal, since in late.items():
        name = names.pod_name(meta["name"], ordinal)
        hidden = await _without_labels(kubernetes, meta, name, since)
        found.append(hidden or not_created(name, since, told))
    return tuple(found)


async def _without_labels(
    kubernetes: Kubernetes, meta: Manifest, name: str, since: datetime
) -> HeldUp | None:
    try:
        pod = await kubernetes.read(Kind.POD, meta["namespace"], name)
    except (Refused, Retryable):
        return None
    wanted = {**names.peer_selector(meta["name"]), **names.MANAGED}
    missing = missing_labels(pod, wanted) if pod is not None else {}
    return unlabelled(name, missing, since) if missing else None


async def _not_started(
    kubernetes: Kubernetes, namespace: str, slow: Iterable[PodState]
) -> tuple[HeldUp, ...]:
    found = []
    for pod in slow:
        manifest = kubernetes.cached_one(Kind.POD, namespace, pod.name)
        told = await pod_trouble(kubernetes, manifest) if manifest is not None else None
        if told is not None:
            found.append(not_started(pod.name, pod.created, told))
    return tuple(found)
