"""Kubernetes' side of the simulation: controllers, and pods whose processes are simulated peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.statefulset import Kubelet, StatefulSets, is_ready
from sandbox.qdrant_sim.core.api.answers import Answer, Call, Reply
from sandbox.qdrant_sim.core.api.api import handle
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.simulation.kubernetes.containers import BACKOFF, Containers
from sandbox.simulation.kubernetes.releases import objection
from sandbox.simulation.kubernetes.slices import Slices
from sandbox.simulation.kubernetes.start_script import StartScript
from sandbox.simulation.kubernetes.volumes import Volumes
from sandbox.simulation.world.names import claim_of
from sandbox.simulation.world.network import VirtualUniverse

PERIOD = 0.25
"""Seconds of virtual time between two rounds of controllers and kubelet."""
GRACE = 1.0
"""Seconds from SIGTERM to the end of a process."""
PROBE_PERIOD = 1.0
"""Seconds between two probes of a pod that is ready."""


class VirtualNode:
    """Makes pods, runs their peers, probes them, and keeps their volumes."""

    def __init__(
        self, server: FakeApiServer, peers: VirtualUniverse, namespace: str, cluster: str, random: Random
    ) -> None:
        """One node for all pods of one cluster."""
        self._server, self._peers, self._namespace = server, peers, namespace
        self._sets, self._kubelet = StatefulSets(server), Kubelet(server)
        self._slices = Slices(server, namespace, cluster, random)
        self._volumes, self._containers = Volumes(server, namespace), Containers(server, namespace)
        self._script = StartScript(server, namespace, cluster, self._volumes)
        self._changed = True
        server.watchers.append(self._on_change)
        self.running: dict[str, Peer] = {}
        """Processes by the uid of their pod."""
        self.failing: set[str] = set()
        """Pods whose readiness probe fails without a reason."""
        self.unschedulable: set[str] = set()
        """Pods for which there is no node."""
        self.without_image: set[str] = set()
        """Pods whose image cannot be pulled."""
        self.on_start: Callable[[Manifest, Disk], None] = lambda _pod, _disk: None
        """Called at every start of a process."""
        self._leaving: dict[str, float] = {}
        """When the process of a deleted pod ends, by the uid of the pod."""
        self._probed: dict[str, float] = {}
        """When a pod that is ready is probed again, by its uid."""

    async def live(self) -> None:
        """Work until cancelled."""
        while True:
            self.round()
            await asyncio.sleep(PERIOD)

    def round(self) -> None:
        """One round: controllers, where something changed, then every pod."""
        while self._changed or self._sets.is_due():
            self._changed = False
            self._server.collect_garbage()
            self._sets.sync()
        pods = self._server.all(Kind.POD, self._namespace)
        for pod in pods:
            self._keep(pod)
        alive = {pod["metadata"]["uid"] for pod in pods}
        for uid in [uid for uid in self.running if uid not in alive]:
            self._stop(uid, 0)
        self._slices.sync(self._now())

    def listed(self) -> frozenset[str]:
        """Addresses to which the client Service sends requests."""
        return self._slices.listed

    def peer_of(self, pod: str) -> Peer | None:
        """The process in a pod."""
        found = self._server.get(Kind.POD, self._namespace, pod)
        return self.running.get(found["metadata"]["uid"]) if found else None

    def address_of(self, host: str) -> str:
        """The address of a pod by its stable name; empty while it has none."""
        found = self._server.get(Kind.POD, self._namespace, host.split(".", maxsplit=1)[0])
        return str(((found or {}).get("status") or {}).get("podIP") or "")

    def disk_of(self, pod: str) -> Disk | None:
        """The volume of a pod."""
        return self._volumes.of(pod)

    def living_disks(self) -> dict[str, Disk]:
        """Volumes that exist, by the name of their claim; not those of a foreign cluster."""
        return self._volumes.living()

    def foreign_pods(self) -> list[str]:
        """Pods that are in a cluster of their own."""
        return self._volumes.foreign_pods()

    def allow_alone(self, pod: str) -> None:
        """A user lets this pod form a cluster of its own when it starts next; an empty name: none may."""
        self._script.alone = pod

    def kill(self, pod: str, rest: float = BACKOFF) -> None:
        """SIGKILL to the peer of a pod; the kubelet starts it again after some seconds."""
        found = self._server.get(Kind.POD, self._namespace, pod)
        if found is not None:
            self._stop(found["metadata"]["uid"], -9, rest)

    def lose_volume(self, pod: str) -> None:
        """The pod and its volume are gone at once."""
        found = self._server.get(Kind.POD, self._namespace, pod)
        if found is not None:
            self._stop(found["metadata"]["uid"], -9)
            self._remove(Kind.POD, pod)
        self._remove(Kind.CLAIM, claim_of(pod))
        self._server.collect_garbage()

    def _remove(self, kind: Kind, name: str) -> None:
        if self._server.get(kind, self._namespace, name) is not None:
            self._server.delete(kind, self._namespace, name)
        if self._server.get(kind, self._namespace, name) is not None:
            self._server.finish(kind, self._namespace, name)

    def _on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        del manifest
        quiet = kind in (Kind.CLUSTER, Kind.COLLECTION, Kind.ENDPOINT_SLICE) and event != "DELETED"
        self._changed = self._changed or not quiet

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _keep(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            self._terminate(pod)
        elif pod["metadata"]["name"] in self.unschedulable:
            self._containers.unschedulable(pod)
        elif not (pod.get("status") or {}).get("podIP"):
            self._kubelet.start(pod, ready=False)
        elif pod["metadata"]["name"] in self.without_image:
            self._containers.without_image(pod)
        elif uid not in self.running:
            if self._containers.may_start(uid):
                self._start(pod)
        else:
            self._watch(pod)

    def _terminate(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._now() >= self._leaving.setdefault(uid, self._now() + GRACE):
            self._stop(uid, 0)
            self._server.finish(Kind.POD, self._namespace, pod["metadata"]["name"])

    def _start(self, pod: Manifest) -> None:
        disk = self._volumes.provision(pod["metadata"]["name"])
        if disk is None:
            return
        message = objection(pod, disk)
        if message:
            self._containers.ended(pod, message)
            return
        settings = self._script.settings(pod, disk)
        self.on_start(pod, disk)
        started = partial(self.running.__setitem__, pod["metadata"]["uid"])
        self._peers.start(pod["status"]["podIP"], disk, settings, started)

    def wipe_volume(self, pod: str) -> None:
        """The pod's disk is empty from now on, under the same claim and the same pod, whose process ends."""
        self.kill(pod)
        self._volumes.wipe(pod)

    def _watch(self, pod: Manifest) -> None:
        """Look whether the process has ended, and probe it."""
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        peer = self.running[uid]
        if peer.exit_code is not None:
            del self.running[uid]
            self._containers.ended(pod, peer.log[-1] if peer.log else "")
        elif peer.running:
            self._containers.runs(pod)
        healthy = name not in self.failing and peer.running and not peer.paused
        if is_ready(pod) and healthy and self._now() < self._probed.get(uid, 0.0):
            return
        self._probed[uid] = self._now() + PROBE_PERIOD
        self._probe(pod, healthy and peer.exit_code is None and self._answers_ready(peer))

    def _probe(self, pod: Manifest, ready: bool) -> None:
        """The result of a readiness probe."""
        if ready:
            self._script.came_up(pod)
        if is_ready(pod) != ready:
            current = self._server.get(Kind.POD, self._namespace, pod["metadata"]["name"])
            self._kubelet.ready(current or pod, ready)

    def _answers_ready(self, peer: Peer) -> bool:
        """What /readyz says; an answer that is not there yet is none."""
        replies: list[Reply] = []
        self._peers.act(lambda: replies.append(handle(peer, Call("GET", ("readyz",)))))
        reply = replies[0]
        answer = reply if isinstance(reply, Answer) else reply.answer
        return answer is not None and answer.status == 200

    def _stop(self, uid: str, code: int, rest: float = BACKOFF) -> None:
        peer = self.running.pop(uid, None)
        if peer is not None:
            self._peers.stop(peer, code)
            self._unready(peer)
        self._containers.rest(uid, rest)

    def _unready(self, peer: Peer) -> None:
        """The kubelet sees a container end at once."""
        for pod in self._server.all(Kind.POD, self._namespace):
            if (pod.get("status") or {}).get("podIP") == peer.address and is_ready(pod):
                self._kubelet.ready(pod, ready=False)
