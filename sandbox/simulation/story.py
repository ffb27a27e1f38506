"""One seed, one story: a cluster's life under faults, with the laws checked after every event.

The reconcile code is the real one. It runs against the in-memory API server and the simulated peers; operators
are killed before and after their writes, requests and answers are lost, peers are killed, users edit. After the
faults end the cluster must settle, and what it settled on must equal its spec.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from qdrant_operator.domain.wire import Kind, Manifest
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.handlers.wakeups import Wakeups
from qdrant_operator.reconcile.cluster import ClusterReconciler
from qdrant_operator.reconcile.world import Options, World
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.kubernetes import Crash, FakeKubernetes, Write
from sandbox.fakes.statefulset import is_ready
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.clock import VirtualClock
from sandbox.simulation.network import LossyHttp, VirtualQdrant, VirtualUniverse
from sandbox.simulation.node import VirtualNode

NAMESPACE, CLUSTER = "default", "vectors"
TROUBLE_SECONDS = 60.0
SETTLE_SECONDS = 600.0


class Quiet:
    """A reporter that nobody listens to."""

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Say nothing."""

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count nothing."""

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Tell nobody."""

    def snapshot(self, namespace: str, cluster: str, *, completed: object, size: int) -> None:
        """Remember nothing."""


@dataclass
class Story:
    """The world of one seed."""

    seed: int
    replicas: int = 3
    crashes: bool = True
    told: list[str] = field(default_factory=list)
    """What happened, for whoever reads a failing seed."""

    def __post_init__(self) -> None:
        """Build the world; nothing runs yet."""
        self.random = Random(self.seed)
        self.clock = VirtualClock()
        self.server = FakeApiServer(self.clock.now)
        self.peers = VirtualUniverse(Random(self.seed + 1))
        self.http = LossyHttp(self.peers, Random(self.seed + 2), loss=0.05)
        self.node = VirtualNode(self.server, self.peers, NAMESPACE)
        self.by_us: set[str] = set()
        """Uids of pods that the operator deleted."""
        self.operators = 0
        self.lost = ""
        """Pod whose volume was lost after the cluster had formed."""

    async def live(self) -> None:
        """Create the cluster, make trouble, end it, and see it settle."""
        spec = {"version": "v1.19.0", "replicas": self.replicas}
        self.server.create(_manifest(spec), "user")
        background = [asyncio.create_task(self.node.live()), asyncio.create_task(self._operate())]
        try:
            await self._trouble()
            await self._settle()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        self.told.append(f"{asyncio.get_running_loop().time():8.2f} {what}")

    async def _trouble(self) -> None:
        end = asyncio.get_running_loop().time() + TROUBLE_SECONDS
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.random.uniform(0.2, 6.0))
            self._one_trouble()
            self.check()

    def _one_trouble(self) -> None:
        pod = f"{CLUSTER}-{self.random.randrange(self.replicas)}"
        choice = self.random.choice(["kill", "delete", "edit", "remove", "volume"])
        self.tell(f"{choice} {pod}")
        if choice == "kill":
            self.node.kill(pod)
        elif choice == "delete" and self.server.get(Kind.POD, NAMESPACE, pod) is not None:
            self.server.delete(Kind.POD, NAMESPACE, pod)
        elif choice == "edit":
            level = self.random.choice(["DEBUG", "INFO", "WARN"])
            body = {"spec": {"config": {"log_level": level}}}
            self.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, body, "user")
        elif choice == "remove":
            name = self.random.choice([CLUSTER, f"{CLUSTER}-peers", f"{CLUSTER}-config"])
            kind = Kind.CONFIG_MAP if name.endswith("config") else Kind.SERVICE
            if self.server.get(kind, NAMESPACE, name) is not None:
                self.server.delete(kind, NAMESPACE, name)
        elif choice == "volume":
            self._lose_volume(pod)

    def _lose_volume(self, pod: str) -> None:
        """Before the cluster forms the first volume, any number of times; afterwards one volume of several.

        Between the two the first peer is the only member: losing it loses the cluster, and only a human may
        begin anew.
        """
        found = self.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}
        phase = ((found.get("status") or {}).get("bootstrap") or {}).get("phase", "Started")
        if phase == "Started":
            self.node.lose_volume(f"{CLUSTER}-0")
        elif phase == "Complete" and self.replicas > 1 and not self.lost:
            self.lost = pod
            self.node.lose_volume(pod)

    async def _operate(self) -> None:
        """Operators, one after another: each lives until it crashes."""
        while True:
            self.operators += 1
            crash = self.random.randint(1, 12) if self.crashes and self.operators < 15 else None
            await self._one_operator(crash)
            self.tell("the operator crashed")
            await asyncio.sleep(self.random.uniform(0.1, 3.0))

    async def _one_operator(self, crash_at: int | None) -> None:
        kubernetes = FakeKubernetes(self.server, now=self.clock.now)
        died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kubernetes.on_write = _Watch(self, crash_at, died)
        world = World(
            kubernetes=kubernetes,
            qdrant=VirtualQdrant(self.http),
            clock=self.clock,
            reporter=Quiet(),
            options=Options(operator_image="operator"),
            new_key=lambda: f"key-{self.seed}",
        )
        runner = Runner(kubernetes, {Kind.CLUSTER: ClusterReconciler(world)}, lambda _k, _r, _s: None)
        kubernetes.listen(Wakeups(runner))
        runner.wake(Kind.CLUSTER, NAMESPACE, CLUSTER)
        try:
            await died
        finally:
            kubernetes.disconnect()
            await runner.stop(0)

    async def _settle(self) -> None:
        self.tell("trouble ends")
        self.crashes, self.http.loss = False, 0.0
        end = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while not self._settled():
            assert asyncio.get_running_loop().time() < end, self._unsettled()
            await asyncio.sleep(1.0)
            self.check()

    def _settled(self) -> bool:
        found = self.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
        assert found is not None
        generation = found["metadata"]["generation"]
        conditions = (found.get("status") or {}).get("conditions") or ()
        ready = [c for c in conditions if c["type"] == "Ready"]
        return bool(ready) and ready[0]["status"] == "True" and ready[0]["observedGeneration"] == generation

    def _unsettled(self) -> str:
        found = self.server.get(Kind.CLUSTER, NAMESPACE, CLUSTER) or {}
        return f"seed {self.seed} did not settle: {found.get('status')}\n" + "\n".join(self.told[-60:])

    def check(self) -> None:
        """The laws, whatever happened."""
        groups = {id(disk.group) for disk in self._disks() if disk.group is not None}
        assert len(groups) <= 1, f"seed {self.seed}: a second cluster formed\n" + "\n".join(self.told)
        down = [pod["metadata"]["name"] for pod in self._pods() if self._is_down_by_us(pod)]
        assert len(down) <= 1, f"seed {self.seed}: {down} are down by our hand\n" + "\n".join(self.told)

    def _disks(self) -> list[Disk]:
        """Volumes that still exist."""
        claims = {claim["metadata"]["uid"] for claim in self.server.all(Kind.CLAIM, NAMESPACE)}
        return [disk for uid, disk in self.node.disks.items() if uid in claims]

    def _pods(self) -> list[Manifest]:
        return self.server.all(Kind.POD, NAMESPACE)

    def _is_down_by_us(self, pod: Manifest) -> bool:
        return pod["metadata"]["uid"] in self.by_us and not is_ready(pod)


class _Watch:
    """Sees every write of one operator, and kills it before or after the chosen one."""

    def __init__(self, story: Story, crash_at: int | None, died: asyncio.Future[None]) -> None:
        self._story, self._left, self._died = story, crash_at, died
        self._before = story.random.random() < 0.5

    def __call__(self, write: Write, after: bool) -> None:
        self._story.check()
        if after:
            self._remember(write)
        if self._left is None or after is self._before:
            return
        self._left -= 1
        if self._left <= 0:
            if not self._died.done():
                self._died.set_result(None)
            raise Crash

    def _remember(self, write: Write) -> None:
        self._story.tell(f"{write.operation} {write.kind.kind} {write.name}")
        if write.operation == "delete" and write.kind is Kind.POD:
            pod = self._story.server.get(Kind.POD, write.namespace, write.name)
            if pod is not None:
                self._story.by_us.add(pod["metadata"]["uid"])


def _manifest(spec: Manifest) -> Manifest:
    meta = {"name": CLUSTER, "namespace": NAMESPACE}
    return {
        "apiVersion": Kind.CLUSTER.api_version,
        "kind": Kind.CLUSTER.kind,
        "metadata": meta,
        "spec": spec,
    }
