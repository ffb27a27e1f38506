"""What Kubernetes says about a child of ours that makes no progress, read live where the caches do not have it."""

from __future__ import annotations

from contextlib import suppress

from qdrant_operator.domain.common.child_progress import Hindrance, pod_hindrance, refusal
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.reconcile.ports import Kubernetes, Manifest


async def child_refusal(kubernetes: Kubernetes, child: Manifest) -> Hindrance | None:
    """Why the controller of a StatefulSet or Job cannot create its pods; None: no Event says so."""
    return refusal(await _events(kubernetes, child))


async def pod_trouble(kubernetes: Kubernetes, pod: Manifest) -> Hindrance | None:
    """Why a pod's containers do not run; its Events are read only when its status names no cause."""
    return pod_hindrance(pod) or pod_hindrance(pod, await _events(kubernetes, pod))


async def _events(kubernetes: Kubernetes, about: Manifest) -> tuple[Manifest, ...]:
    """For messages only: without Events, or without the right to read them, the loop continues."""
    meta = about["metadata"]
    with suppress(Refused, Retryable):
        return await kubernetes.events(meta["namespace"], meta["uid"])
    return ()
