"""One flight per object: wake-ups in, passes out.

A task per object, made at first sight and ended when the object is gone. Wake-ups that arrive during a pass
lead to exactly one more pass; losing every one of them costs a pause, never correctness. No pass is ever cut:
a spec edit waits for the pass to end.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from qdrant_operator.domain.common.backoff import Backoff
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.context import Reconciler
from qdrant_operator.reconcile.defects import reference
from qdrant_operator.reconcile.ports import Kubernetes

BACKOFF = Backoff(first=1.0, longest=60.0)
"""Pauses after failed passes over one object, with 20 % of jitter."""

logger = logging.getLogger(__name__)
Key = tuple[Kind, str, str]
Observe = Callable[[str, str, float], None]
"""Told after every pass: kind, result (ok, retry, refused, error), seconds."""
Report = Callable[[Kind, str, str, Exception], Awaitable[None]]
"""Told of an object (kind, namespace, name) whose passes end in an error that its loop does not report itself."""
UNREPORTED = 2
"""Failed passes in a row after which an object's status says so: one may come of two changes that met."""


@dataclass(slots=True)
class _Flight:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    defects: int = 0
    """Passes in a row that ended in an error which the loop did not report; a retry is not counted, and ends none."""
    task: asyncio.Task[None] | None = None


class Runner:
    """Runs every object's passes, one at a time per object."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        reconcilers: Mapping[Kind, Reconciler],
        observe: Observe,
        report: Report,
    ) -> None:
        """Keep the caches, one reconciler for each kind, and whom to tell of passes and of failed ones."""
        self._kubernetes = kubernetes
        self._reconcilers = reconcilers
        self._observe = observe
        self._report = report
        self._flights: dict[Key, _Flight] = {}
        self._stopping = False
        self.last_pass = time.monotonic()

    def wake(self, kind: Kind, namespace: str, name: str) -> None:
        """Let this object take a pass soon."""
        key = (kind, namespace, name)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.create_task(self._fly(key, flight), name=f"{kind.kind} {namespace}/{name}")
        flight.wake.set()

    @property
    def waiting(self) -> int:
        """Objects that were woken and have not begun their pass."""
        return sum(flight.wake.is_set() for flight in self._flights.values())

    async def stop(self, grace: float) -> None:
        """Let running passes end within `grace` seconds, then cut them."""
        tasks = [flight.task for flight in self._flights.values() if flight.task]
        self._stopping = True
        for flight in self._flights.values():
            flight.wake.set()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fly(self, key: Key, flight: _Flight) -> None:
        kind, namespace, name = key
        try:
            while not self._stopping and self._kubernetes.cached_one(kind, namespace, name) is not None:
                flight.wake.clear()
                await self._rest(flight, await self._pass(key, flight))
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _rest(self, flight: _Flight, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await flight.wake.wait()
        except TimeoutError:
            return

    async def _pass(self, key: Key, flight: _Flight) -> float:
        kind, namespace, name = key
        began = time.monotonic()
        result, pause = await self._guarded(key, flight)
        self.last_pass = time.monotonic()
        self._observe(kind.kind, result, self.last_pass - began)
        logger.debug(
            "Pass ended",
            extra={"kind": kind.kind, "object": f"{namespace}/{name}", "result": result, "pause": pause},
        )
        return pause

    async def _guarded(self, key: Key, flight: _Flight) -> tuple[str, float]:
        kind, namespace, name = key
        subject = self._kubernetes.cached_one(kind, namespace, name)
        if subject is None:
            return "gone", 0.0
        try:
            again = await self._reconcilers[kind].reconcile(subject)
        except Retryable as error:
            return "retry", self._after(key, flight, error, error.after)
        except Refused as error:
            await self._defect(key, flight, error)
            return "refused", self._after(key, flight, error, BACKOFF.longest)
        except Exception as error:
            extra = {"kind": kind.kind, "object": f"{namespace}/{name}", "reference": reference(error)}
            logger.exception("Pass failed", extra=extra)
            await self._defect(key, flight, error)
            return "error", self._after(key, flight, error, BACKOFF.first)
        flight.failures = flight.defects = 0
        return "ok", again.after

    async def _defect(self, key: Key, flight: _Flight, error: Exception) -> None:
        flight.defects += 1
        if flight.defects >= UNREPORTED:
            await self._report(*key, error)

    def _after(self, key: Key, flight: _Flight, error: Exception, least: float) -> float:
        kind, namespace, name = key
        flight.failures += 1
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
        pause = BACKOFF.pause(flight.failures, jitter=jitter, at_least=least)
        logger.info(
            "Looking again later",
            extra={
                "kind": kind.kind,
                "object": f"{namespace}/{name}",
                "why": str(error),
                "seconds": round(pause, 2),
            },
        )
        return pause
