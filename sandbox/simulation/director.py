"""One seed: a cluster's life under faults, with the laws checked after every event.

The reconcile code is the real one. It runs against the in-memory API server and the simulated peers; operators
are killed around their writes, requests and answers are lost, repeated and late, peers and volumes are lost,
users edit. After the faults end the cluster must settle, and what it settles on must equal its spec.
"""

from __future__ import annotations

from collections.abc import Callable

from qdrant_operator.domain.common.kinds import Manifest
from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.clients.user import User
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.faults.backups import Backups
from sandbox.simulation.faults.early_losses import EarlyLosses
from sandbox.simulation.faults.faults import Faults
from sandbox.simulation.faults.losses import Losses
from sandbox.simulation.faults.outages import Outages
from sandbox.simulation.faults.rare_faults import RareFaults
from sandbox.simulation.faults.rivals import Rivals
from sandbox.simulation.laws.laws import Laws
from sandbox.simulation.laws.settling import Settling
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.operators.operators import Operators
from sandbox.simulation.world.simulated import SimulatedWorld

FAULT_SECONDS = 60.0
"""Virtual seconds in which faults are injected."""


class Director:
    """Builds the world of a seed, starts everything in it, injects faults, and waits until the cluster has settled."""

    def __init__(self, seed: int, user: Callable[[SimulatedWorld], User] = User) -> None:
        """Nothing runs yet."""
        self.world = world = SimulatedWorld.of(seed)
        self.violations = violations = Violations(world.log)
        self.user, self.writer = user(world), Writer(world)
        self.laws = Laws(world, self.user, self.writer, violations)
        self.backups = Backups(world, self.user, self.writer, violations)
        self._operators = Operators(world, self.user, self.backups.storage)
        self.outages = Outages(world, self.user, self._operators, violations)
        self.rivals = Rivals(world, self._operators, violations)
        self._scheduler, self._clock = world.scheduler, world.clock
        self._random, self._log = world.random, world.log
        self._losses = Losses(world, self.writer)
        self._rare = RareFaults(
            world, self.user, self.writer, self._losses, self._operators, self.laws.is_being_dropped
        )
        self._early_losses = EarlyLosses(world, self.user, self._losses, self._rare.delete_cluster)
        self._faults = Faults(world, self.user, self._losses, self._operators, self._rare)

    async def live(self) -> None:
        """Create the cluster, inject faults, end them, and see it settle; ends at the first broken law."""
        self._connect()
        self.user.create_cluster(self._random.choice((1, 2, 3, 3, 3, 4, 5)))
        for events in (self.backups, self._early_losses, self.outages, self.rivals):
            events.begin()
        for process in (self.world.node, self._operators, self.writer):
            self._scheduler.background(process.live())
        try:
            if await self._run():
                await self._settle()
        finally:
            await self._scheduler.stop()

    @property
    def events(self) -> list[str]:
        """What happened, a line each."""
        return self._log.lines

    def _connect(self) -> None:
        """Laws and faults watch what changes in the world."""
        world = self.world
        watching = (self.laws, self._rare, self._early_losses, self.outages)
        world.server.watchers += [watcher.on_change for watcher in watching]
        world.peers.on_commit(self.laws.on_commit)
        world.node.on_start = self._on_start
        hooks = self._operators.hooks
        hooks.on_call, hooks.is_last_call = self.laws.on_call, self._rare.is_last_call
        hooks.before_write = self._before_write

    def _on_start(self, pod: Manifest, disk: Disk) -> None:
        self.laws.on_start(pod, disk)
        self.outages.on_start(pod, disk)

    def _before_write(self, write: Write) -> None:
        for watcher in (self.laws, self.backups.laws, self.rivals):
            watcher.before_write(write)

    async def _run(self) -> bool:
        """Inject faults until their time is over; whether no law was broken."""
        while self._clock.seconds() < FAULT_SECONDS:
            await self.laws.watch(self._random.uniform(0.2, 6.0))
            if self.violations.found:
                return False
            self._faults.inject()
            self.laws.check_points()
        for events in (self._faults, self.outages, self.rivals):
            events.end()
        return not self.violations.found

    async def _settle(self) -> None:
        settling = Settling(self.world, self.user, self.writer, self._losses, self.laws, self.violations)
        await settling.wait(contested=self.rivals.at_work)
        await self.backups.end(self.laws.watch)
