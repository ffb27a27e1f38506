"""Runs the reconciliations: wake-ups in, passes out, one pass at a time for each object.

Each object has a task, from its first wake-up until it is deleted. Wake-ups during a pass lead to exactly one more
pass. A lost wake-up delays a pass, and nothing more. A pass is never cancelled: an edit of the spec waits for its end.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.common.timing.backoff import Backoff
from qdrant_operator.reconcile.context import Reconciler
from qdrant_operator.reconcile.ports import Kubernetes
from qdrant_operator.reconcile.reporting.defects import reference

BACKOFF = Backoff(first=1.0, longest=60.0)
"""Pauses after failed passes over one object, with 20 % of jitter."""

logger = logging.getLogger(__name__)
Key = tuple[Kind, str, str]
Observe = Callable[[str, str, float], None]
"""Called after every pass: kind, result (ok, retry, refused, error), seconds."""
Report = Callable[[Kind, str, str, Exception], Awaitable[None]]
"""Called for an object (kind, namespace, name) whose passes fail with an error that its loop does not report."""
UNREPORTED = 2
"""Failed passes in a row after which the status reports the error: a single one may be a race of two changes."""


@dataclass(slots=True)
class _Worker:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    defects: int = 0
    """Passes in a row with an error that the loop did not report; retries do not count and do not reset it."""
    task: asyncio.Task[None] | None = None


class Runner:
    """Runs the passes of every object, one at a time per object."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        reconcilers: Mapping[Kind, Reconciler],
        observe: Observe,
        report: Report,
    ) -> None:
        """Use the caches, one reconciler for each kind, `observe` after passes and `report` after failed ones."""
        self._kubernetes = kubernetes
        self._reconcilers = reconcilers
        self._observe = observe
        self._report = report
        self._workers: dict[Key, _Worker] = {}
        self._stopping = False
        self.last_pass = time.monotonic()

    def wake(self, kind: Kind, namespace: str, name: str) -> None:
        """Start a pass over this object soon."""
        key = (kind, namespace, name)
        worker = self._workers.get(key)
        if worker is None:
            worker = self._workers[key] = _Worker()
            worker.task = asyncio.create_task(self._work(key, worker), name=f"{kind.kind} {namespace}/{name}")
        worker.wake.set()

    @property
    def waiting(self) -> int:
        """Objects that were woken and whose pass has not started."""
        return sum(worker.wake.is_set() for worker in self._workers.values())

    async def stop(self, grace: float) -> None:
        """Wait `grace` seconds for running passes to end, then cancel them."""
        tasks = [worker.task for worker in self._workers.values() if worker.task]
        self._stopping = True
        for worker in self._workers.values():
            worker.wake.set()
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, key: Key, worker: _Worker) -> None:
        kind, namespace, name = key
        try:
            while not self._stopping and self._kubernetes.cached_one(kind, namespace, name) is not None:
                worker.wake.clear()
                await self._pause(worker, await self._pass(key, worker))
        finally:
            if self._workers.get(key) is worker:
                del self._workers[key]

    async def _pause(self, worker: _Worker, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await worker.wake.wait()
        except TimeoutError:
            return

    async def _pass(self, key: Key, worker: _Worker) -> float:
        kind, namespace, name = key
        began = time.monotonic()
        result, pause = await self._attempt(key, worker)
        self.last_pass = time.monotonic()
        self._observe(kind.kind, result, self.last_pass - began)
        logger.debug(
            "Pass ended",
            extra={"kind": kind.kind, "object": f"{namespace}/{name}", "result": result, "pause": pause},
        )
        return pause

    async def _attempt(self, key: Key, worker: _Worker) -> tuple[str, float]:
        kind, namespace, name = key
        subject = self._kubernetes.cached_one(kind, namespace, name)
        if subject is None:
            return "gone", 0.0
        try:
            again = await self._reconcilers[kind].reconcile(subject)
        except Retryable as error:
            return "retry", self._retry_pause(key, worker, error, error.after)
        except Refused as error:
            await self._defect(key, worker, error)
            return "refused", self._retry_pause(key, worker, error, BACKOFF.longest)
        except Exception as error:
            extra = {"kind": kind.kind, "object": f"{namespace}/{name}", "reference": reference(error)}
            logger.exception("Pass failed", extra=extra)
            await self._defect(key, worker, error)
            return "error", self._retry_pause(key, worker, error, BACKOFF.first)
        worker.failures = worker.defects = 0
        return "ok", again.after

    async def _defect(self, key: Key, worker: _Worker, error: Exception) -> None:
        worker.defects += 1
        if worker.defects >= UNREPORTED:
            await self._report(*key, error)

    def _retry_pause(self, key: Key, worker: _Worker, error: Exception, least: float) -> float:
        kind, namespace, name = key
        worker.failures += 1
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
        pause = BACKOFF.pause(worker.failures, jitter=jitter, at_least=least)
        logger.info(
            "Pass is repeated later",
            extra={
                "kind": kind.kind,
                "object": f"{namespace}/{name}",
                "why": str(error),
                "seconds": round(pause, 2),
            },
        )
        return pause
