"""One seed, one story: a cluster's life under faults, with the laws checked after every event.

The reconcile code is the real one. It runs against the in-memory API server and the simulated peers; operators
are killed around their writes, requests and answers are lost, repeated and late, peers and volumes are lost,
users edit. After the faults end the cluster must settle, and what it settled on must equal its spec.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from qdrant_operator.domain.common.kinds import Manifest
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.faults.backups import Backups
from sandbox.simulation.faults.early_losses import EarlyLosses
from sandbox.simulation.faults.faults import Trouble
from sandbox.simulation.faults.outages import Outages
from sandbox.simulation.faults.rivals import Rivals
from sandbox.simulation.laws.laws import Laws
from sandbox.simulation.laws.settling import Settling
from sandbox.simulation.world.clock import VirtualClock
from sandbox.simulation.world.network import VirtualUniverse, Weather
from sandbox.simulation.world.node import VirtualNode
from sandbox.simulation.world.operators import Operator
from sandbox.simulation.world.user import CLUSTER, NAMESPACE, User
from sandbox.simulation.world.writer import Writer

TROUBLE_SECONDS = 60.0


class Story:
    """The world of one seed."""

    def __init__(self, seed: int, *, writes: bool = True) -> None:
        """Build the world; nothing runs yet."""
        self.seed = seed
        self.random = Random(seed)
        self.told: list[str] = []
        """What happened, for whoever reads a failing seed."""
        self.trouble, self.began = True, False
        self.clock = VirtualClock()
        self.server = FakeApiServer(self.clock.now)
        self.peers = VirtualUniverse(Random(seed + 1))
        self.weather = Weather()
        self.slow_kubernetes = False
        """Answers from Kubernetes come late."""
        self.absent_until = 0.0
        """No operator acts before."""
        self.mute: set[str] = set()
        """Addresses of peers that the operator cannot reach."""
        self.node = VirtualNode(self.server, self.peers, NAMESPACE, CLUSTER, self.random)
        self.user = User(self)
        self.writer = Writer(self)
        self.laws = Laws(self)
        self.backups, self.early_losses = Backups(self), EarlyLosses(self)
        self.outages, self.rivals = Outages(self), Rivals(self)
        self.troubles = Trouble(self)
        self.operator: Operator | None = None
        self._writes = writes
        self._tasks: list[asyncio.Task[Any]] = []

    async def live(self) -> None:
        """Create the cluster, make trouble, end it, and see it settle; ends at the first broken law."""
        self.began = True
        watching = (self.laws, self.troubles.mishaps, self.early_losses, self.outages)
        self.server.watchers += [one.on_change for one in watching]
        self.peers.universe.on_commit = self.laws.on_commit
        self.node.on_start = self._on_start
        self.user.create_cluster(self.random.choice((1, 2, 3, 3, 3, 4, 5)))
        for events in (self.backups, self.early_losses, self.outages, self.rivals):
            events.begin()
        self.background(self.node.live())
        self.background(self._operate())
        if self._writes:
            self.background(self.writer.live())
        try:
            if await self._make_trouble():
                await Settling(self).wait()
                await self.backups.end()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_start(self, pod: Manifest, disk: Disk) -> None:
        self.laws.on_start(pod, disk)
        self.outages.on_start(pod, disk)

    def before_write(self, write: Write) -> None:
        """An operator's write reaches the API server now."""
        for watching in (self.laws, self.backups.laws, self.rivals):
            watching.before_write(write)

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        now = self.clock.seconds() if self.began else 0.0
        self.told.append(f"{now:8.2f} {what}")

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside the story until it ends."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        asyncio.get_running_loop().call_later(seconds, action)

    def later(self, most: float, action: Callable[[], None]) -> None:
        """Do something within so many seconds."""
        self.after(self.random.uniform(0.0, most), action)

    async def _make_trouble(self) -> bool:
        """Whether no law was broken."""
        while self.clock.seconds() < TROUBLE_SECONDS:
            await self.look_on(self.random.uniform(0.2, 6.0))
            if self.laws.broken:
                return False
            self.troubles.one()
            self.laws.check_points()
        self.troubles.end()
        self.outages.end()
        self.rivals.end()
        return not self.laws.broken

    async def look_on(self, seconds: float) -> None:
        """Let time pass and watch the laws."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end and not self.laws.broken:
            await asyncio.sleep(min(0.5, max(0.01, end - self.clock.seconds())))
            self.laws.check()

    async def _operate(self) -> None:
        """Operators, one after another."""
        number = 0
        while True:
            number += 1
            self.operator = Operator(self, number)
            self.tell(f"operator {number} starts")
            await self.operator.live()
            self.tell(f"operator {number} is dead")
            await asyncio.sleep(max(self.random.uniform(0.1, 3.0), self.absent_until - self.clock.seconds()))
