"""Operators as processes: each lives until a fault ends it, before or after a write, or with a write under way.

A write that is under way when its process dies, or loses the Lease, may arrive when the next operator acts
already: that is a hand-over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.handlers.wakeups import Wakeups
from qdrant_operator.reconcile.backup.schedule.loop import ScheduleReconciler
from qdrant_operator.reconcile.backup.snapshot.loop import SnapshotReconciler
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.collection.loop import CollectionReconciler
from qdrant_operator.reconcile.context import Context, Options, Reconciler
from qdrant_operator.reconcile.reporting.defects import report_defect
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.simulation.clients.user import User
from sandbox.simulation.operators.hooks import OperatorHooks
from sandbox.simulation.operators.kubernetes import LATE_WRITE, OperatorKubernetes
from sandbox.simulation.operators.lifetime import End, Lifetime
from sandbox.simulation.world.bucket import Door
from sandbox.simulation.world.network import Line, SimulatedHttp, SimulatedQdrant
from sandbox.simulation.world.simulated import SimulatedWorld

Storage = Callable[[Callable[[], None]], Callable[[S3Place, S3Credentials | None], Door]]
"""Opens the bucket for a process, given the function that raises when that process is dead."""


class Quiet:
    """A reporter without a reader."""

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Send no Event."""

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count nothing."""

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Set no gauge."""


class Operator:
    """One process."""

    def __init__(
        self, world: SimulatedWorld, number: int, user: User, storage: Storage, hooks: OperatorHooks
    ) -> None:
        """The process has not started yet."""
        self._world, self._storage, self._hooks = world, storage, hooks
        self._peers, self._log, self._scheduler = world.peers, world.log, world.scheduler
        self._conditions = world.conditions
        self.lifetime = Lifetime(number, world.random, world.conditions)
        self.kubernetes = OperatorKubernetes(world, self.lifetime, user, hooks)

    @property
    def number(self) -> int:
        """Its place in the line of operators, from 1."""
        return self.lifetime.number

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self.lifetime.dead

    async def live(self) -> None:
        """Run until it dies."""
        context = self._context()
        loops: dict[Kind, Reconciler] = {
            Kind.CLUSTER: ClusterReconciler(context),
            Kind.COLLECTION: CollectionReconciler(context),
            Kind.SNAPSHOT: SnapshotReconciler(context),
            Kind.SCHEDULE: ScheduleReconciler(context),
        }
        runner = Runner(
            self.kubernetes, loops, lambda _kind, _result, _seconds: None, partial(report_defect, context)
        )
        self.kubernetes.listen(Wakeups(runner))
        for kind in loops:
            for found in self._world.server.all(kind):
                runner.wake(kind, found["metadata"]["namespace"], found["metadata"]["name"])
        try:
            await self.lifetime.wait()
        finally:
            self.lifetime.dead = True
            self.kubernetes.disconnect()
            await runner.stop(0)

    def _context(self) -> Context:
        """The ports of the real loops, on this world."""
        line = Line(self._peers, self._world.random, self._conditions.weather)
        key = f"key-{self._world.seed}"
        return Context(
            kubernetes=self.kubernetes,
            qdrant=SimulatedQdrant(SimulatedHttp(line, self._before_call)),
            clock=self._world.clock,
            reporter=Quiet(),
            options=Options(operator_image="operator"),
            new_key=lambda: key,
            storage=self._storage(self.lifetime.check_alive),
        )

    def _before_call(self, host: str, call: Call) -> Callable[[], None]:
        """What happens before a call; the result is called after its answer."""
        self.lifetime.check_alive()
        if host in self._conditions.unreachable:
            raise Unreachable(f"{'/'.join(call.segments)}: no route to {host}")
        if call.method == "GET":
            return _nothing
        self._hooks.on_call(call)
        self._log.add(f"operator {self.number}: {call.method} {'/'.join(call.segments)} {call.body}")
        if self._hooks.is_last_call(host, call):
            self.lifetime.end_late()
        if not self.lifetime.ends_now():
            return _nothing
        return self._end_at(host, call)

    def _end_at(self, host: str, call: Call) -> Callable[[], None]:
        """This call is the last one."""
        if self.lifetime.end is End.AFTER:
            return self.lifetime.die
        if self.lifetime.end is End.LATE:
            self._scheduler.within(LATE_WRITE, lambda: self._arrives(host, call))
            if call.segments[-1] == "cluster":
                self._world.slow_kubernetes()  # the successor plans before the call arrives and acts after it
        self.lifetime.die()
        return _nothing

    def _arrives(self, host: str, call: Call) -> None:
        peer = self._peers.at(host)
        if peer is not None and peer.running and not peer.paused:
            self._log.add(f"operator {self.number} is dead, its last call arrives")
            self._scheduler.background(self._peers.respond(peer, call))


class Operators:
    """One operator after another; at most one lives."""

    def __init__(self, world: SimulatedWorld, user: User, storage: Storage) -> None:
        """No operator has started."""
        self._world, self._user, self._storage = world, user, storage
        self._clock, self._log, self._conditions = world.clock, world.log, world.conditions
        self._random = world.random
        self.hooks = OperatorHooks()
        self._last: Operator | None = None
        self._number = 0

    @property
    def number(self) -> int:
        """Number of the operator that started last; 0 before the first."""
        return self._number

    @property
    def living(self) -> Operator | None:
        """The operator that runs now, if one does."""
        return None if self._last is None or self._last.is_dead else self._last

    async def live(self) -> None:
        """Start operators until cancelled."""
        while True:
            self._number += 1
            operator = self._last = Operator(self._world, self._number, self._user, self._storage, self.hooks)
            self._log.add(f"operator {self._number} starts")
            await operator.live()
            self._log.add(f"operator {self._number} is dead")
            pause = self._random.uniform(0.1, 3.0)
            await asyncio.sleep(max(pause, self._conditions.absent_until - self._clock.seconds()))


def _nothing() -> None:
    """Nothing happens after the call."""
