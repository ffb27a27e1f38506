"""Kubernetes' side of the simulation: controllers, and pods whose processes are simulated peers."""

from __future__ import annotations

import asyncio
from typing import Any

from qdrant_operator.domain.wire import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.statefulset import Kubelet, StatefulSets, is_ready
from sandbox.qdrant_sim.core.answers import Answer, Call, Reply
from sandbox.qdrant_sim.core.api import handle
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.qdrant_sim.core.peer import Peer
from sandbox.qdrant_sim.core.settings import Settings
from sandbox.simulation.network import VirtualUniverse

PERIOD = 0.25
"""Seconds of virtual time between two rounds of controllers and kubelet."""
BACKOFF = 1.0
GRACE = 1.0


class VirtualNode:
    """Makes pods, runs their peers, probes them, and keeps their volumes."""

    def __init__(self, server: FakeApiServer, peers: VirtualUniverse, namespace: str) -> None:
        self._server, self._peers, self._namespace = server, peers, namespace
        self._sets, self._kubelet = StatefulSets(server), Kubelet(server)
        self.disks: dict[str, Disk] = {}
        """Volumes by the uid of their claim."""
        self._running: dict[str, Peer] = {}
        self._resting: dict[str, float] = {}
        self._leaving: dict[str, float] = {}
        self._attempts: dict[str, int] = {}

    async def live(self) -> None:
        """Work until cancelled."""
        while True:
            self.round()
            await asyncio.sleep(PERIOD)

    def round(self) -> None:
        """One round: controllers, then every pod."""
        self._server.collect_garbage()
        self._sets.sync()
        for pod in self._server.all(Kind.POD, self._namespace):
            self._keep(pod)
        alive = {pod["metadata"]["uid"] for pod in self._server.all(Kind.POD, self._namespace)}
        for uid in [uid for uid in self._running if uid not in alive]:
            self._stop(uid, 0)

    def kill(self, pod: str) -> None:
        """SIGKILL to the peer of a pod; the kubelet starts it again."""
        found = self._server.get(Kind.POD, self._namespace, pod)
        if found is not None:
            self._stop(found["metadata"]["uid"], -9)

    def lose_volume(self, pod: str) -> None:
        """The pod and its volume are gone at once."""
        claim = f"storage-{pod}"
        found = self._server.get(Kind.POD, self._namespace, pod)
        if found is not None:
            self._stop(found["metadata"]["uid"], -9)
            self._server.delete(Kind.POD, self._namespace, pod)
            self._server.finish(Kind.POD, self._namespace, pod)
        if self._server.get(Kind.CLAIM, self._namespace, claim) is not None:
            self._server.delete(Kind.CLAIM, self._namespace, claim)
            self._server.finish(Kind.CLAIM, self._namespace, claim)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _keep(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            self._terminate(pod)
        elif not (pod.get("status") or {}).get("podIP"):
            self._kubelet.start(pod, ready=False)
        elif uid not in self._running:
            if self._now() >= self._resting.get(uid, 0.0):
                self._start(pod)
        else:
            self._probe(pod)

    def _terminate(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._now() >= self._leaving.setdefault(uid, self._now() + GRACE):
            self._stop(uid, 0)
            self._server.finish(Kind.POD, self._namespace, pod["metadata"]["name"])

    def _start(self, pod: Manifest) -> None:
        uid, address = pod["metadata"]["uid"], pod["status"]["podIP"]
        disk = self._disk(pod)
        environment = {e["name"]: e.get("value", "") for e in pod["spec"]["containers"][0]["env"]}
        settings = self._settings(pod, environment)

        def begin() -> None:
            self._running[uid] = self._peers.universe.start(address, disk, settings)

        self._peers.act(begin)

    def _settings(self, pod: Manifest, environment: dict[str, Any]) -> Settings:
        """What the start script would do, its counter of attempts included."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        uri = environment["QDRANT_PEER_URI"].replace("$(POD_NAME)", name)
        if environment["QDRANT_FIRST_POD"] == name:
            return Settings(uri=uri, clustered=True)
        found = self._server.get(Kind.CONFIG_MAP, self._namespace, "vectors-config")
        data = (found or {}).get("data") or {"members": "", "nobody": "http://nobody:6335"}
        others = [line for line in data["members"].split() if line != uri]
        attempt = self._attempts[uid] = self._attempts.get(uid, -1) + 1
        target = others[attempt % len(others)] if others else data["nobody"].strip()
        return Settings(uri=uri, bootstrap=target, clustered=True)

    def _disk(self, pod: Manifest) -> Disk:
        claim = self._server.get(Kind.CLAIM, self._namespace, f"storage-{pod['metadata']['name']}")
        assert claim is not None
        return self.disks.setdefault(claim["metadata"]["uid"], Disk())

    def _probe(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        peer = self._running[uid]
        if peer.exit_code is not None:
            del self._running[uid]
            self._resting[uid] = self._now() + BACKOFF
        ready = peer.exit_code is None and peer.running and self._is_ready(peer)
        if is_ready(pod) != ready:
            self._kubelet.ready(pod, ready)

    def _is_ready(self, peer: Peer) -> bool:
        """What /readyz says; an answer that is not there yet is none."""
        replies: list[Reply] = []
        self._peers.act(lambda: replies.append(handle(peer, Call("GET", ("readyz",)))))
        reply = replies[0]
        answer = reply if isinstance(reply, Answer) else reply.answer
        return answer is not None and answer.status == 200

    def _stop(self, uid: str, code: int) -> None:
        peer = self._running.pop(uid, None)
        if peer is not None:
            self._peers.act(lambda: self._peers.universe.stop(peer, code))
        self._resting[uid] = self._now() + BACKOFF
