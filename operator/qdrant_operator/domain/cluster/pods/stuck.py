"""Messages about pods that do not start or do not stop: the cause, since when, and the remedy.

Pure: manifests, hindrances and times in, messages out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.domain.common.child_progress import Hindrance
from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.kinds import Manifest

OVERDUE = timedelta(seconds=60)
"""A pod whose grace period ended this long ago is stuck. The value leaves room for clock skew."""
RESOURCES = "spec.resources"
PULL_SECRETS = "spec.image.pullSecrets"
"""Fields of a QdrantCluster that remedies name."""


@dataclass(frozen=True, slots=True)
class StuckPod:
    """A pod that makes no progress."""

    pod: str
    verb: str
    """What does not happen: create, run or stop."""
    why: str

    @property
    def step(self) -> str:
        """The blocked step, as in status.blocked."""
        return f"{self.verb} {self.pod}"


def not_created(pod: str, since: datetime, cause: Hindrance | None) -> StuckPod:
    """A pod that its StatefulSet counts and that does not exist."""
    start = f"pod {pod} does not exist since {timestamp(since)}"
    if cause is None:
        return StuckPod(
            pod, "create", f"{start}; its controller gives no reason: see kubectl describe statefulset"
        )
    return StuckPod(pod, "create", f"{start}: {cause.words}; {remedy(cause)}")


def not_started(pod: str, since: str, cause: Hindrance) -> StuckPod:
    """A pod that exists and whose containers are not started."""
    return StuckPod(pod, "run", f"{pod} does not run: since {since} {cause.words}; {remedy(cause)}")


def unlabelled(pod: str, missing: Mapping[str, str], since: datetime) -> StuckPod:
    """A pod of this name exists without labels by which the cluster finds it."""
    labels = " ".join(f"{key}={value}" for key, value in missing.items())
    why = (
        f"since {timestamp(since)} {pod} exists without its label {labels}: restore it (kubectl label pod {pod} "
        f"{labels}), or delete the pod for another one on the same volume"
    )
    return StuckPod(pod, "create", why)


def not_stopped(pod: str, node: str, ended: str, now: datetime | None) -> StuckPod | None:
    """A pod whose grace period `ended` (RFC 3339) long ago; None while it may still be stopping."""
    if now is None or not ended or now - datetime.fromisoformat(ended) < OVERDUE:
        return None
    why = (
        f"{pod} should have stopped by {ended}, and the kubelet of node {node or 'unknown'} does not report that it "
        f"did: bring the node back. Only if it is powered off or lost permanently, run kubectl taint node {node} "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or delete the pod with --force"
    )
    return StuckPod(pod, "stop", why)


def missing_labels(pod: Manifest, wanted: Mapping[str, str]) -> dict[str, str]:
    """Labels that the pod should have and does not."""
    present = pod["metadata"].get("labels") or {}
    return {key: value for key, value in wanted.items() if present.get(key) != value}


def remedy(cause: Hindrance) -> str:
    """What to change of a QdrantCluster or around it."""
    return cause.remedy(resources=RESOURCES, pull_secrets=PULL_SECRETS)
