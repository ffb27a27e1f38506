"""Where the simulated cluster lives: the names of its objects."""

from __future__ import annotations

NAMESPACE, CLUSTER = "default", "vectors"


def claim_of(pod: str) -> str:
    """Name of the volume claim of a pod."""
    return f"storage-{pod}"


def pod_of(claim: str) -> str:
    """Name of the pod that a volume claim belongs to."""
    return claim.removeprefix("storage-")
