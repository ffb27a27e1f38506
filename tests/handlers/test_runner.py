"""One flight per object, no pass lost, none cut."""

from __future__ import annotations

import asyncio

import pytest

from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.reconcile.context import Requeue
from sandbox.fakes.kubernetes import FakeKubernetes

CLUSTER = Kind.CLUSTER


def manifest(name: str = "vectors") -> Manifest:
    """A QdrantCluster as a user writes it."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": CLUSTER.api_version, "kind": CLUSTER.kind, "metadata": meta, "spec": {}}


class Gate:
    """A reconciler that stays in its pass until the test lets it go."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.passes = 0
        self.cut = 0
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.error: Exception | None = None

    async def reconcile(self, subject: Manifest) -> Requeue:
        """Count, wait for the test, and answer or fail as told."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        try:
            await self.leave.wait()
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self.inside -= 1
        self.passes += 1
        if self.error:
            raise self.error
        return Requeue(3600)


class Results:
    """What the runner tells of its passes."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, _kind: str, result: str, _seconds: float) -> None:
        self.told.put_nowait(result)


async def unreported(_kind: Kind, _namespace: str, _name: str, _error: Exception) -> None:
    """Nobody is told of errors."""


async def start() -> tuple[Runner, Gate, Results, FakeKubernetes]:
    """A runner with one QdrantCluster that was seen."""
    kubernetes, gate, results = FakeKubernetes(), Gate(), Results()
    await kubernetes.create(manifest())
    runner = Runner(kubernetes, {CLUSTER: gate}, results, unreported)
    runner.wake(CLUSTER, "default", "vectors")
    await gate.entered.wait()
    return runner, gate, results, kubernetes


async def test_wakeups_during_a_pass_lead_to_one_more_pass_and_never_to_two_at_once() -> None:
    """A hundred events while a pass runs: one pass follows, alone."""
    runner, gate, results, _ = await start()
    for _ in range(100):
        runner.wake(CLUSTER, "default", "vectors")
    gate.leave.set()
    assert [await results.told.get() for _ in range(2)] == ["ok", "ok"]
    await runner.stop(1)
    assert (gate.most, gate.passes, gate.cut) == (1, 2, 0)


async def test_a_spec_edit_never_cuts_a_pass() -> None:
    """The pass that runs ends by itself; the next one sees the new spec."""
    runner, gate, results, kubernetes = await start()
    await kubernetes.patch(CLUSTER, "default", "vectors", {"spec": {"replicas": 5}})
    runner.wake(CLUSTER, "default", "vectors")
    gate.leave.set()
    await results.told.get()
    await results.told.get()
    await runner.stop(1)
    assert gate.cut == 0


async def test_objects_do_not_wait_for_each_other() -> None:
    """One sick cluster, stuck in its pass, leaves the others alone."""
    runner, gate, _, kubernetes = await start()
    await kubernetes.create(manifest("other"))
    gate.entered.clear()
    runner.wake(CLUSTER, "default", "other")
    await gate.entered.wait()
    assert gate.inside == 2
    gate.leave.set()
    await runner.stop(1)


async def test_the_flight_ends_with_the_object() -> None:
    """An object that is gone keeps no task and no memory."""
    runner, gate, results, kubernetes = await start()
    found = kubernetes.cached_one(CLUSTER, "default", "vectors")
    assert found is not None
    await kubernetes.delete(CLUSTER, "default", "vectors", uid=found["metadata"]["uid"])
    gate.leave.set()
    await results.told.get()
    runner.wake(CLUSTER, "default", "vectors")
    await runner.stop(1)
    assert runner.waiting == 0
    assert gate.passes == 1


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (Retryable("later", after=0.01), "retry"),
        (Refused("Bad", "somebody must act"), "refused"),
        (ValueError("a defect"), "error"),
    ],
)
async def test_a_failed_pass_is_told_and_repeated_on_the_next_event(error: Exception, result: str) -> None:
    """No error ends a flight: not a refusal, not a defect."""
    runner, gate, results, _ = await start()
    gate.error = error
    gate.leave.set()
    assert await results.told.get() == result
    gate.error = None
    runner.wake(CLUSTER, "default", "vectors")
    assert await results.told.get() in ("ok", result)
    await runner.stop(1)
