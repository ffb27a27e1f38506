"""An operator's view of Kubernetes: slow, with answers that are lost, and gone when the operator is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.kubernetes import FakeKubernetes, Write
from sandbox.simulation.clients.user import User
from sandbox.simulation.operators.hooks import OperatorHooks
from sandbox.simulation.operators.lifetime import End, Lifetime
from sandbox.simulation.world.simulated import SimulatedWorld

SLOW = 8.0
"""Seconds after which a slow Kubernetes has answered; the write is carried out at once."""
LATE_WRITE = 5.0
"""Seconds after which a dead operator's last write has arrived or is lost."""
STUCK = 30.0
"""The same for a StatefulSet: an admission webhook that does not answer holds a write for as long."""


class OperatorKubernetes(FakeKubernetes):
    """The client of one operator."""

    def __init__(self, world: SimulatedWorld, lifetime: Lifetime, user: User, hooks: OperatorHooks) -> None:
        """Watch the world's server."""
        super().__init__(world.server, now=world.clock.now)
        self._conditions, self._random = world.conditions, world.random
        self._log, self._scheduler = world.log, world.scheduler
        self._lifetime, self._user, self._operator_hooks = lifetime, user, hooks
        self._lost_answers: set[int] = set()
        self.on_write = self._answered

    async def _write(self, write: Write, act: Callable[[], Manifest]) -> Manifest:
        last = self._lifetime.ends_now()
        if self._happens(0.04):
            await asyncio.sleep(self._random.uniform(0.0, 1.0))
        self._log.add(f"operator {self._lifetime.number}: {write.operation} {write.kind.kind} {write.name}")
        if last and self._lifetime.end is not End.AFTER:
            self._die_before(write, act)
        if self._happens(0.02):
            raise Unreachable("the request to Kubernetes was lost")
        answer = await self._carried_out(write, act)
        if self._conditions.slow_kubernetes:
            await asyncio.sleep(self._random.uniform(0.0, SLOW))
        if last:
            self._lifetime.die()
        return answer

    def _happens(self, chance: float) -> bool:
        """Whether a fault of this chance happens now."""
        return self._conditions.faults_active and self._random.random() < chance

    def _die_before(self, write: Write, act: Callable[[], Manifest]) -> None:
        """The process ends; its write is lost, or arrives later."""
        found = self.server.get(write.kind, write.namespace, write.name)
        if self._lifetime.end is End.LATE and found:
            is_set = write.kind is Kind.STATEFUL_SET
            self._scheduler.within(STUCK if is_set else LATE_WRITE, lambda: self._arrives(write, act))
            if is_set:  # a late StatefulSet matters when its replicas have changed meanwhile
                self._scheduler.within(1.0, self._user.scale)
        self._lifetime.die()

    async def _carried_out(self, write: Write, act: Callable[[], Manifest]) -> Manifest:
        found = self.server.get(write.kind, write.namespace, write.name)
        if write.operation != "delete" or write.meets(found):
            self._operator_hooks.before_write(write)
        if self._happens(0.02):
            self._lost_answers.add(id(write))
        try:
            return await super()._write(write, act)
        finally:  # another write may get the same id
            self._lost_answers.discard(id(write))

    def _answered(self, write: Write, after: bool) -> None:
        if after and id(write) in self._lost_answers:
            raise Unreachable("the answer from Kubernetes was lost")

    def _arrives(self, write: Write, act: Callable[[], Manifest]) -> None:
        """A deletion names the object that is meant: another one of that name, or another version of it, stays."""
        self._log.add(f"operator {self._lifetime.number} is dead, its last write arrives")
        found = self.server.get(write.kind, write.namespace, write.name)
        if write.operation == "delete" and not write.meets(found):
            return
        self._operator_hooks.before_write(write)
        try:
            act()
        except (Refused, Retryable) as error:
            self._log.add(f"and is refused: {error}")
