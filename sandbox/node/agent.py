"""The node: takes the pods that the scheduler binds to it and runs them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable

from sandbox.handle import NodeRefusedError
from sandbox.node import claims, registration
from sandbox.node.context import Node
from sandbox.node.kube import Changed, Listed, Manifest
from sandbox.node.pods.pod import PodWorker

_Name = tuple[str, str]


class Agent:
    """One node's pods."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.ready = False
        self._workers: dict[str, PodWorker] = {}
        self._last_of: dict[_Name, PodWorker] = {}
        """The newest pod of each name: the next of that name starts when it has ended."""
        self._seen: dict[str, Manifest] = {}
        self._down = False

    async def run(self) -> None:
        """Register and work until cancelled."""
        await claims.install_storage_class(self.node)
        await registration.register(self.node)
        async with asyncio.TaskGroup() as group:
            group.create_task(registration.heartbeat(self.node))
            group.create_task(claims.provision(self.node))
            group.create_task(claims.reclaim(self.node))
            group.create_task(self._follow_pods())

    def workers(self) -> list[PodWorker]:
        """Pods on the node, by namespace and name."""
        return sorted(self._workers.values(), key=lambda worker: (worker.pod.namespace, worker.pod.name))

    def worker(self, namespace: str, name: str) -> PodWorker:
        """One pod.

        Raises:
            NodeRefusedError: it is not on the node.
        """
        for worker in self._workers.values():
            if (worker.pod.namespace, worker.pod.name) == (namespace, name):
                return worker
        raise NodeRefusedError(f"the node runs no pod {namespace}/{name}")

    def pause(self, namespace: str, name: str) -> None:
        """Stop a pod's processes where they are."""
        worker = self.worker(namespace, name)
        worker.signal(signal.SIGSTOP)
        self.node.peers.pause(worker.pod.address)

    def resume(self, namespace: str, name: str) -> None:
        """Let a pod's processes go on."""
        worker = self.worker(namespace, name)
        self.node.peers.resume(worker.pod.address)
        worker.signal(signal.SIGCONT)

    def partition(self, namespace: str, side: Iterable[str], other: Iterable[str]) -> None:
        """Cut the peer network between two groups of simulated peers."""
        groups = [[self.worker(namespace, name) for name in names] for names in (side, other)]
        real = [worker.pod.name for group in groups for worker in group if not worker.simulated]
        if real:
            raise NodeRefusedError(
                f"{', '.join(real)} run no simulated peer: loopback traffic between real processes cannot be cut "
                "without root; pause a pod, or run the test with simulated peers"
            )
        self.node.peers.partition(*([worker.pod.address for worker in group] for group in groups))

    async def down(self) -> None:
        """Crash: every process dies unreported; the node says NotReady for its silence to be noticed at once."""
        self._down = True
        workers = self.workers()
        for worker in workers:
            worker.vanished()
        await asyncio.gather(*(worker.done for worker in workers))
        self._workers.clear()
        await registration.report_ready(self.node, ready=False)

    async def up(self) -> None:
        """Boot: whatever is still bound here starts anew."""
        self._down = False
        await registration.report_ready(self.node, ready=True)
        for manifest in list(self._seen.values()):
            self._take(manifest)

    async def close(self) -> None:
        """End every process, for the end of the sandbox."""
        workers = self.workers()
        for worker in workers:
            worker.vanished()
        await asyncio.gather(*(worker.done for worker in workers), return_exceptions=True)

    async def _follow_pods(self) -> None:
        bound_here = f"spec.nodeName={self.node.name}"
        async for notice in self.node.kube.follow("/api/v1/pods", fieldSelector=bound_here):
            match notice:
                case Listed(items):
                    present = {item["metadata"]["uid"] for item in items}
                    for uid in self._seen.keys() - present:
                        self._drop(uid)
                    for item in items:
                        self._take(item)
                    self.ready = True
                case Changed(item):
                    self._take(item)
                case _:
                    self._drop(notice.item["metadata"]["uid"])

    def _take(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        uid, name = metadata["uid"], (metadata["namespace"], metadata["name"])
        self._seen[uid] = manifest
        if self._down:
            return
        if uid in self._workers:
            self._workers[uid].update(manifest)
            return
        before = self._last_of.get(name)
        worker = PodWorker(self.node, manifest, before.done if before is not None else None)
        self._workers[uid] = self._last_of[name] = worker

    def _drop(self, uid: str) -> None:
        self._seen.pop(uid, None)
        worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.vanished()
