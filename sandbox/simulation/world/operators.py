"""Operators as processes: each lives until a fault ends it, before or after a write, or with a write under way.

A write that is under way when its process dies, or loses the Lease, may arrive when the next operator acts
already: that is a hand-over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.handlers.wakeups import Wakeups
from qdrant_operator.reconcile.backup.schedule.loop import ScheduleReconciler
from qdrant_operator.reconcile.backup.snapshot.loop import SnapshotReconciler
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from qdrant_operator.reconcile.collection.loop import CollectionReconciler
from qdrant_operator.reconcile.context import Context, Options, Reconciler
from qdrant_operator.reconcile.defects import report_defect
from sandbox.fakes.kubernetes import Crash, FakeKubernetes, Write
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.simulation.world.network import Line, SimulatedHttp, SimulatedQdrant

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

SLOW = 8.0
"""Seconds after which a slow Kubernetes has answered; the write is carried out at once."""
LATE_WRITE = 5.0
"""Seconds after which a dead operator's last write has arrived or is lost."""
STUCK = 30.0
"""The same for a StatefulSet: an admission webhook that does not answer holds a write for as long."""


class End(Enum):
    """How an operator ends."""

    BEFORE = auto()
    """It dies when it is about to write."""
    AFTER = auto()
    """It dies when its write has been carried out."""
    LATE = auto()
    """It dies, or loses the Lease, while its write is under way."""


class Quiet:
    """A reporter that nobody listens to."""

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Say nothing."""

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count nothing."""

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Tell nobody."""


class Operator:
    """One process."""

    def __init__(self, story: Story, number: int) -> None:
        """It has not started yet."""
        self._story, self.number = story, number
        self.dead = False
        self.end = story.random.choice(list(End))
        self._writes_left = story.random.randint(1, 25) if story.trouble and number < 15 else None
        self.kubernetes = ItsKubernetes(story, self)

    async def live(self) -> None:
        """Run until it dies."""
        self._died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = Line(self._story.peers, self._story.random, self._story.weather)
        world = Context(
            kubernetes=self.kubernetes,
            qdrant=SimulatedQdrant(SimulatedHttp(line, self._before_call)),
            clock=self._story.clock,
            reporter=Quiet(),
            options=Options(operator_image="operator"),
            new_key=lambda: f"key-{self._story.seed}",
            storage=self._story.backups.storage(self._lives),
        )
        loops: dict[Kind, Reconciler] = {
            Kind.CLUSTER: ClusterReconciler(world),
            Kind.COLLECTION: CollectionReconciler(world),
            Kind.SNAPSHOT: SnapshotReconciler(world),
            Kind.SCHEDULE: ScheduleReconciler(world),
        }
        runner = Runner(
            self.kubernetes, loops, lambda _kind, _result, _seconds: None, partial(report_defect, world)
        )
        self.kubernetes.listen(Wakeups(runner))
        for kind in loops:
            for found in self._story.server.all(kind):
                runner.wake(kind, found["metadata"]["namespace"], found["metadata"]["name"])
        try:
            await self._died
        finally:
            self.dead = True
            self.kubernetes.disconnect()
            await runner.stop(0)

    def ends_now(self) -> bool:
        """Count a write; whether it is this process's last."""
        if self.dead:
            raise Crash
        if self._writes_left is None or not self._story.trouble:
            return False
        self._writes_left -= 1
        return self._writes_left <= 0

    def die(self) -> None:
        """The process ends here.

        Raises:
            Crash: always.
        """
        self.vanish()
        raise Crash

    def vanish(self) -> None:
        """The process ends, wherever it is."""
        self.dead = True
        if not self._died.done():
            self._died.set_result(None)

    def _lives(self) -> None:
        if self.dead:
            raise Crash

    def _before_call(self, host: str, call: Call) -> Callable[[], None]:
        if self.dead:
            raise Crash
        if host in self._story.mute:
            raise Unreachable(f"{'/'.join(call.segments)}: no route to {host}")
        if call.method == "GET":
            return _nothing
        self._story.laws.asked(call)
        self._story.tell(f"operator {self.number}: {call.method} {'/'.join(call.segments)} {call.body}")
        if self._story.troubles.mishaps.on_call(host, call):
            self.end, self._writes_left = End.LATE, 1
        if not self.ends_now():
            return _nothing
        if self.end is End.AFTER:
            return self.die
        if self.end is End.LATE:
            self._story.later(LATE_WRITE, lambda: self._arrives(host, call))
            if call.segments[-1] == "cluster":
                self._story.troubles.mishaps.slow_kubernetes()  # the successor plans before it and acts after it
        self.die()
        return _nothing

    def _arrives(self, host: str, call: Call) -> None:
        peer = self._story.peers.universe.peers.get(host)
        if peer is not None and peer.running and not peer.paused:
            self._story.tell(f"operator {self.number} is dead, its last call arrives")
            self._story.background(self._story.peers.respond(peer, call))


class ItsKubernetes(FakeKubernetes):
    """An operator's view of Kubernetes: slow, forgetful, and gone when the operator is."""

    def __init__(self, story: Story, operator: Operator) -> None:
        """Watch the story's server."""
        super().__init__(story.server, now=story.clock.now)
        self._story, self._operator = story, operator
        self._unheard: set[int] = set()
        self.on_write = self._answered

    async def _write(self, write: Write, act: Callable[[], Manifest]) -> Manifest:
        operator, story = self._operator, self._story
        last = operator.ends_now()
        if story.trouble and story.random.random() < 0.04:
            await asyncio.sleep(story.random.uniform(0.0, 1.0))
        story.tell(f"operator {operator.number}: {write.operation} {write.kind.kind} {write.name}")
        if last and operator.end is not End.AFTER:
            meant = self.server.get(write.kind, write.namespace, write.name)
            if operator.end is End.LATE and meant:
                most = STUCK if write.kind is Kind.STATEFUL_SET else LATE_WRITE
                story.later(most, lambda: self._arrives(write, act))
                if write.kind is Kind.STATEFUL_SET:
                    story.later(
                        1.0, story.user.scale
                    )  # it matters when somebody wants something else by then
            operator.die()
        if story.trouble and story.random.random() < 0.02:
            raise Unreachable("the request to Kubernetes was lost")
        answer = await self._carried_out(write, act)
        if story.slow_kubernetes:
            await asyncio.sleep(story.random.uniform(0.0, SLOW))
        if last:
            operator.die()
        return answer

    async def _carried_out(self, write: Write, act: Callable[[], Manifest]) -> Manifest:
        found = self.server.get(write.kind, write.namespace, write.name)
        if write.operation != "delete" or write.meets(found):
            self._story.before_write(write)
        if self._story.trouble and self._story.random.random() < 0.02:
            self._unheard.add(id(write))
        return await super()._write(write, act)

    def _answered(self, write: Write, after: bool) -> None:
        if after and id(write) in self._unheard:
            self._unheard.remove(id(write))
            raise Unreachable("the answer from Kubernetes was lost")

    def _arrives(self, write: Write, act: Callable[[], Manifest]) -> None:
        """A deletion names the object that is meant: another one of that name, or another version of it, stays."""
        self._story.tell(f"operator {self._operator.number} is dead, its last write arrives")
        found = self.server.get(write.kind, write.namespace, write.name)
        if write.operation == "delete" and not write.meets(found):
            return
        self._story.before_write(write)
        try:
            act()
        except (Refused, Retryable) as error:
            self._story.tell(f"and is refused: {error}")


def _nothing() -> None:
    """Nothing happens after the call."""
