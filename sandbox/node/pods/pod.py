"""One pod on the node, from the moment it is bound to the moment its object may go."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable

import aiohttp

from sandbox.node.context import Node, Pod
from sandbox.node.kube import ApiError, Manifest
from sandbox.node.pods.container import Container, now
from sandbox.node.pods.podstatus import Situation, build_status

_RETRY_AFTER = 0.5
_TERMINAL = ("Succeeded", "Failed")


class PodWorker:
    """Runs a pod's containers and keeps its status true.

    Args:
        node: what all pods share.
        manifest: the pod as it was first seen.
        after: finished before this pod may start: the end of an earlier pod of the same name, whose address it has.
    """

    def __init__(self, node: Node, manifest: Manifest, after: Awaitable[object] | None = None) -> None:
        name, space = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        uid = str(manifest["metadata"]["uid"])
        self._dirty = asyncio.Event()
        self.pod = Pod(
            node,
            manifest,
            node.addresses.of(space, name),
            node.folder / "pods" / uid,
            node.folder / "logs" / f"{space}.{name}.{uid[:8]}",
            self._dirty.set,
        )
        spec = manifest["spec"]
        self.init = [Container(self.pod, item, init=True) for item in spec.get("initContainers") or ()]
        self.main = [Container(self.pod, item) for item in spec["containers"]]
        self._started_at = manifest.get("status", {}).get("startTime") or now()
        self._initialized = False
        self._finished = False
        self._silent = False
        self._published: Manifest | None = None
        self._after = after
        self._leave = asyncio.Event()
        if self.pod.leaving:
            self._leave.set()
        self.done: asyncio.Task[None] = asyncio.create_task(self._run(), name=f"pod {space}/{name}")
        """Ends when nothing of the pod runs any more and its object is let go."""

    @property
    def containers(self) -> list[Container]:
        """Every container, init ones first."""
        return [*self.init, *self.main]

    @property
    def simulated(self) -> bool:
        """Whether a simulated peer runs in it."""
        return any(container.simulated for container in self.main)

    def update(self, manifest: Manifest) -> None:
        """Take a newer state of the object: a deletion, readiness gates."""
        self.pod.manifest = manifest
        self._dirty.set()
        if self.pod.leaving:
            self._leave.set()

    def vanished(self) -> None:
        """The object is gone without us: end everything now and say nothing."""
        self._silent = True
        self._leave.set()
        self.abandon()

    def abandon(self) -> None:
        """End every process now."""
        for container in self.containers:
            container.abandon()

    def signal(self, number: int) -> None:
        """Send a signal to every running container."""
        for container in self.containers:
            if container.process is not None and container.process.running:
                if number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
                    container.process.signal_all(number)
                else:
                    container.process.signal(number)

    async def _run(self) -> None:
        if self._after is not None:
            await self._after
        publishing = asyncio.create_task(self._publish_changes())
        try:
            if self.pod.manifest.get("status", {}).get("phase") not in _TERMINAL:
                await self._live()
                await self._publish()
            await self._leave.wait()
        finally:
            publishing.cancel()
            self.abandon()
        await self._let_go()

    async def _live(self) -> None:
        """Run the containers until all have ended for good, or the pod is to leave."""
        self.pod.folder.mkdir(parents=True, exist_ok=True)
        self._dirty.set()
        work = asyncio.create_task(self._containers())
        leaving = asyncio.create_task(self._leave.wait())
        await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not work.done():
            await asyncio.gather(*(container.stop(self._grace()) for container in self.containers))
        await work
        self._finished = True

    async def _containers(self) -> None:
        for container in self.init:
            if await container.run() != 0 or self._leave.is_set():
                return
        self._initialized = True
        for container in self.main:
            container.creating()
        await asyncio.gather(*(container.run() for container in self.main))

    def _grace(self) -> float:
        """Seconds that the deletion allows; the object's own word wins over the pod's default."""
        metadata, spec = self.pod.manifest["metadata"], self.pod.manifest["spec"]
        return float(
            metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30))
        )

    async def _publish_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._publish()

    async def _publish(self) -> None:
        """Bring the status to the server, if it is another than the last one."""
        status = build_status(
            Situation(
                self.pod.manifest,
                self.pod.address,
                self._started_at,
                self.init,
                self.main,
                self._initialized,
                self._finished,
            )
        )
        if self._silent or status == self._published:
            return
        body = {"metadata": {"uid": self.pod.uid}, "status": status}
        if await _until_done(lambda: self.pod.node.kube.patch(f"{self.pod.path}/status", body)):
            self._published = status

    async def _let_go(self) -> None:
        """Tell the server that nothing runs any more, and remove what goes with the pod."""
        if not self._silent:
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod.uid}}
            await _until_done(lambda: self.pod.node.kube.delete(self.pod.path, body))
        await asyncio.to_thread(shutil.rmtree, self.pod.folder, ignore_errors=True)


async def _until_done(call: Callable[[], Awaitable[object]]) -> bool:
    """Repeat a request until the server takes it; False when the object is gone or another."""
    while True:
        try:
            await call()
        except ApiError as error:
            if error.status in (404, 409, 422):
                return False
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        else:
            return True
        await asyncio.sleep(_RETRY_AFTER)
