"""Containers as the kubelet shows them: when they start again, and what their status says."""

from __future__ import annotations

import asyncio

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer

BACKOFF = 1.0
"""Seconds until a container that ended is started again, for each end in a row."""
LONGEST_BACKOFF = 4
"""Ends in a row after which the pause grows no more."""
CRASHES = 3
"""Ends in a row after which the kubelet calls it a crash loop."""
UNSCHEDULABLE: Manifest = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes",
}
NO_IMAGE: Manifest = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
RUNNING: Manifest = {"state": {"running": {}}}


class Containers:
    """The containers named `qdrant` of all pods."""

    def __init__(self, server: FakeApiServer, namespace: str) -> None:
        """No container has started."""
        self._server, self._namespace = server, namespace
        self._resting: dict[str, float] = {}
        """When a container may start again, by the uid of its pod."""
        self._ends: dict[str, int] = {}
        """Ends in a row, by the uid of the pod."""

    def may_start(self, uid: str) -> bool:
        """Whether the pause after its last end is over."""
        return _now() >= self._resting.get(uid, 0.0)

    def rest(self, uid: str, seconds: float) -> None:
        """Start the container again after so many seconds."""
        self._resting[uid] = _now() + seconds

    def ended(self, pod: Manifest, message: str) -> None:
        """A container ended by itself, with this message: it starts again, later each time."""
        uid = pod["metadata"]["uid"]
        self._ends[uid] = self._ends.get(uid, 0) + 1
        self.rest(uid, BACKOFF * min(self._ends[uid], LONGEST_BACKOFF))
        if self._ends[uid] >= CRASHES:
            self._show(pod, _crashed(message))

    def runs(self, pod: Manifest) -> None:
        """A container runs: its ends no longer count."""
        if self._ends.pop(pod["metadata"]["uid"], 0):
            self._show(pod, RUNNING)

    def unschedulable(self, pod: Manifest) -> None:
        """There is no node for the pod."""
        self._write(pod, {"conditions": [UNSCHEDULABLE]})

    def without_image(self, pod: Manifest) -> None:
        """The image cannot be pulled."""
        self._show(pod, NO_IMAGE)

    def _show(self, pod: Manifest, state: Manifest) -> None:
        self._write(pod, {"containerStatuses": [{"name": "qdrant", **state}]})

    def _write(self, pod: Manifest, facts: Manifest) -> None:
        status = {**(pod.get("status") or {}), **facts}
        self._server.put_status(Kind.POD, self._namespace, pod["metadata"]["name"], status)


def _crashed(message: str) -> Manifest:
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"message": message}},
    }


def _now() -> float:
    return asyncio.get_running_loop().time()
