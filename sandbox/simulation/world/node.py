"""Kubernetes' side of the simulation: controllers, and pods whose processes are simulated peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlsplit

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.statefulset import Kubelet, StatefulSets, is_ready
from sandbox.qdrant_sim.core.api.answers import Answer, Call, Reply
from sandbox.qdrant_sim.core.api.api import handle
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.settings import Settings
from sandbox.simulation.world.names import claim_of
from sandbox.simulation.world.network import VirtualUniverse
from sandbox.simulation.world.releases import objection, release_of
from sandbox.simulation.world.slices import Slices

PERIOD = 0.25
"""Seconds of virtual time between two rounds of controllers and kubelet."""
BACKOFF = 1.0
GRACE = 1.0
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
NO_IMAGE: Manifest = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
CRASHES = 3
"""Ends in a row after which the kubelet calls it a crash loop."""


class VirtualNode:
    """Makes pods, runs their peers, probes them, and keeps their volumes."""

    def __init__(
        self, server: FakeApiServer, peers: VirtualUniverse, namespace: str, cluster: str, random: Random
    ) -> None:
        """One node for all pods of one cluster."""
        self._server, self._peers, self._namespace, self._cluster = server, peers, namespace, cluster
        self._sets, self._kubelet = StatefulSets(server), Kubelet(server)
        self._slices = Slices(server, namespace, cluster, random)
        self._changed = True
        server.watchers.append(self._on_change)
        self.disks: dict[str, Disk] = {}
        """Volumes by the uid of their claim."""
        self.running: dict[str, Peer] = {}
        """Processes by the uid of their pod."""
        self.failing: set[str] = set()
        """Pods whose readiness probe fails without a reason."""
        self.unschedulable: set[str] = set()
        """Pods for which there is no node."""
        self.without_image: set[str] = set()
        """Pods whose image cannot be pulled."""
        self.alone = ""
        """Pod that somebody lets start a cluster of its own, once."""
        self._foreign: list[Disk] = []
        self.on_start: Callable[[Manifest, Disk], None] = lambda _pod, _disk: None
        """Told of every start of a process."""
        self._resting: dict[str, float] = {}
        self._leaving: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._probed: dict[str, float] = {}
        self._came_up: set[str] = set()
        """Pods, by uid, of which a container was ready once."""

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
        claim = self._server.get(Kind.CLAIM, self._namespace, claim_of(pod))
        return self.disks.get(claim["metadata"]["uid"]) if claim else None

    def living_disks(self) -> dict[str, Disk]:
        """Volumes that still exist, by the name of their claim; not those of a foreign cluster."""
        return {name: disk for name, disk in self._existing_disks().items() if not self._is_foreign(disk)}

    def foreign_pods(self) -> list[str]:
        """Pods that are in a cluster which somebody else began."""
        existing = self._existing_disks().items() if self._foreign else ()
        return [name.removeprefix(claim_of("")) for name, disk in existing if self._is_foreign(disk)]

    def _existing_disks(self) -> dict[str, Disk]:
        claims = self._server.all(Kind.CLAIM, self._namespace)
        found = {c["metadata"]["name"]: self.disks.get(c["metadata"]["uid"]) for c in claims}
        return {name: disk for name, disk in found.items() if disk is not None}

    def _is_foreign(self, disk: Disk) -> bool:
        return any(disk is one or (disk.group and disk.group is one.group) for one in self._foreign)

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
            self._tell(pod, {"conditions": [UNSCHEDULABLE]})
        elif not (pod.get("status") or {}).get("podIP"):
            self._kubelet.start(pod, ready=False)
        elif pod["metadata"]["name"] in self.without_image:
            self._tell(pod, {"containerStatuses": [{"name": "qdrant", **NO_IMAGE}]})
        elif uid not in self.running:
            if self._now() >= self._resting.get(uid, 0.0):
                self._start(pod)
        else:
            self._watch(pod)

    def _terminate(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._now() >= self._leaving.setdefault(uid, self._now() + GRACE):
            self._stop(uid, 0)
            self._server.finish(Kind.POD, self._namespace, pod["metadata"]["name"])

    def _start(self, pod: Manifest) -> None:
        uid, address = pod["metadata"]["uid"], pod["status"]["podIP"]
        disk = self._disk(pod)
        if disk is None:
            return
        words = objection(pod, disk)
        if words:
            self._ended(pod, words)
            return
        environment = {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0]["env"]}
        settings = self._settings(pod, environment, disk)
        self.on_start(pod, disk)
        self._peers.start(address, disk, settings, partial(self.running.__setitem__, uid))

    def _settings(self, pod: Manifest, environment: dict[str, Any], disk: Disk) -> Settings:
        """What the start script would do, its counter of attempts included."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        version = release_of(pod).removeprefix("v")
        uri = environment["QDRANT_PEER_URI"].replace("$(POD_NAME)", name)
        if self.alone == name and disk.fresh:
            self.alone = ""
            self._foreign.append(disk)
            return Settings(uri=uri, clustered=True, version=version)
        if disk.fresh:  # it was killed before it had begun a cluster of its own
            self._foreign = [one for one in self._foreign if one is not disk]
        found = self._server.get(Kind.CONFIG_MAP, self._namespace, f"{self._cluster}-config")
        data = (found or {}).get("data") or {"members": "", "nobody": "http://nobody:6335", "first-pod": ""}
        permitted = environment["QDRANT_FIRST_POD"] == name == data["first-pod"].strip()
        if permitted and not self._forbids_alone(pod):
            return Settings(uri=uri, clustered=True, version=version)
        known = [line for line in data["members"].split() if line != uri]
        # The stranger admits nobody; that nothing grows beside it is a law of its own.
        others = [line for line in known if _pod_in(line) not in self.foreign_pods()]
        attempt = self._attempts[uid] = self._attempts.get(uid, -1) + 1
        target = others[attempt % len(others)] if others else data["nobody"].strip()
        return Settings(uri=uri, bootstrap=target, clustered=True, version=version)

    def _forbids_alone(self, pod: Manifest) -> bool:
        """A container of this pod came up before, or other pods have addresses."""
        pods = self._server.all(Kind.POD, self._namespace)
        others = [one for one in pods if one["metadata"]["uid"] != pod["metadata"]["uid"]]
        listed = any((one.get("status") or {}).get("podIP") for one in others)
        return listed or pod["metadata"]["uid"] in self._came_up

    def wipe_volume(self, pod: str) -> None:
        """The pod's disk is empty from now on, under the same claim and the same pod, whose process ends."""
        claim = self._server.get(Kind.CLAIM, self._namespace, claim_of(pod))
        self.kill(pod)
        if claim is not None:
            self.disks[claim["metadata"]["uid"]] = Disk()

    def _disk(self, pod: Manifest) -> Disk | None:
        name = claim_of(pod["metadata"]["name"])
        claim = self._server.get(Kind.CLAIM, self._namespace, name)
        return None if claim is None else self.disks.setdefault(claim["metadata"]["uid"], Disk())

    def _watch(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        peer = self.running[uid]
        if peer.exit_code is not None:
            del self.running[uid]
            self._ended(pod, peer.log[-1] if peer.log else "")
        elif peer.running and self._ends.pop(uid, 0):
            self._say(pod, None)
        failing = pod["metadata"]["name"] in self.failing
        if (
            is_ready(pod)
            and not failing
            and peer.running
            and not peer.paused
            and self._now() < self._probed.get(uid, 0.0)
        ):
            return
        self._probed[uid] = self._now() + 1.0
        ready = (
            not failing
            and peer.exit_code is None
            and peer.running
            and not peer.paused
            and self._is_ready(peer)
        )
        if ready:
            self._came_up.add(uid)
        if is_ready(pod) != ready:
            self._kubelet.ready(
                self._server.get(Kind.POD, self._namespace, pod["metadata"]["name"]) or pod, ready
            )

    def _ended(self, pod: Manifest, words: str) -> None:
        """A container is over, with these last words: the kubelet starts it again, later each time."""
        uid = pod["metadata"]["uid"]
        self._ends[uid] = self._ends.get(uid, 0) + 1
        self._resting[uid] = self._now() + BACKOFF * min(self._ends[uid], 4)
        self._say(pod, words)

    def _say(self, pod: Manifest, words: str | None) -> None:
        """The container's state, as the kubelet shows it; without last words it runs."""
        if words is not None and self._ends.get(pod["metadata"]["uid"], 0) < CRASHES:
            return
        state = _crashed(words) if words is not None else {"state": {"running": {}}}
        self._tell(pod, {"containerStatuses": [{"name": "qdrant", **state}]})

    def _tell(self, pod: Manifest, facts: Manifest) -> None:
        status = {**(pod.get("status") or {}), **facts}
        self._server.put_status(Kind.POD, self._namespace, pod["metadata"]["name"], status)

    def _is_ready(self, peer: Peer) -> bool:
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
        self._resting[uid] = self._now() + rest

    def _unready(self, peer: Peer) -> None:
        """The kubelet sees a container end at once."""
        for pod in self._server.all(Kind.POD, self._namespace):
            if (pod.get("status") or {}).get("podIP") == peer.address and is_ready(pod):
                self._kubelet.ready(pod, ready=False)


def _pod_in(uri: str) -> str:
    """The pod that a member's URI names."""
    return (urlsplit(uri).hostname or "").split(".")[0]


def _crashed(words: str) -> Manifest:
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"message": words}},
    }
