"""Pods that do not come up or do not go away, in words: what holds them up, since when, and what to do.

Pure: manifests, hindrances and times in, sentences out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.domain.common.child_progress import Hindrance
from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.kinds import Manifest

OVERDUE = timedelta(seconds=60)
"""A pod whose grace period ended so long ago is not stopped by anybody; room for clocks that differ."""
RESOURCES = "spec.resources"
PULL_SECRETS = "spec.image.pullSecrets"
"""Fields of a QdrantCluster that remedies name."""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A pod that makes no progress."""

    pod: str
    verb: str
    """What does not happen: create, run or stop."""
    why: str

    @property
    def step(self) -> str:
        """What is wanted, as status.blocked has it."""
        return f"{self.verb} {self.pod}"


def not_created(pod: str, since: datetime, told: Hindrance | None) -> HeldUp:
    """A pod that its StatefulSet counts and that does not exist."""
    start = f"pod {pod} does not exist since {timestamp(since)}"
    if told is None:
        return HeldUp(
            pod, "create", f"{start}; its controller gives no reason: see kubectl describe statefulset"
        )
    return HeldUp(pod, "create", f"{start}: {told.words}; {remedy(told)}")


def not_started(pod: str, since: str, told: Hindrance) -> HeldUp:
    """A pod that exists and whose containers are not started."""
    return HeldUp(pod, "run", f"{pod} does not run: since {since} {told.words}; {remedy(told)}")


def unlabelled(pod: str, missing: Mapping[str, str], since: datetime) -> HeldUp:
    """A pod of this name exists without labels by which the cluster finds it."""
    labels = " ".join(f"{key}={value}" for key, value in missing.items())
    why = (
        f"since {timestamp(since)} {pod} exists without its label {labels}: put it back (kubectl label pod {pod} "
        f"{labels}), or delete the pod for another one on the same volume"
    )
    return HeldUp(pod, "create", why)


def not_stopped(pod: str, node: str, ended: str, now: datetime | None) -> HeldUp | None:
    """A pod whose grace period `ended` (RFC 3339) long ago; None while it may still be stopping."""
    if now is None or not ended or now - datetime.fromisoformat(ended) < OVERDUE:
        return None
    why = (
        f"{pod} should have stopped by {ended}, and the kubelet of node {node or 'unknown'} does not report that it "
        f"did: bring the node back. Only if it is powered off or gone for good, run kubectl taint node {node} "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or delete the pod with --force"
    )
    return HeldUp(pod, "stop", why)


def missing_labels(pod: Manifest, wanted: Mapping[str, str]) -> dict[str, str]:
    """Labels that the pod should carry and does not."""
    there = pod["metadata"].get("labels") or {}
    return {key: value for key, value in wanted.items() if there.get(key) != value}


def remedy(told: Hindrance) -> str:
    """What to change of a QdrantCluster or around it."""
    return told.remedy(resources=RESOURCES, pull_secrets=PULL_SECRETS)
