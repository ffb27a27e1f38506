"""A pass that ends in an unexpected error is told on the object, for every kind, and ends when its cause does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.timing.backoff import Backoff
from qdrant_operator.handlers import runner as runner_module
from qdrant_operator.handlers.runner import Runner
from qdrant_operator.handlers.wakeups import Wakeups
from qdrant_operator.reconcile.context import Context, Options, Requeue
from qdrant_operator.reconcile.reporting.defects import report_defect
from qdrant_operator.reconcile.reporting.status import write_status
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.collection_world import FaultyRest, ManualClock, Recorder

KINDS = (Kind.CLUSTER, Kind.COLLECTION, Kind.SCHEDULE, Kind.SNAPSHOT)
SECRET = "s3cret-of-the-cluster"
GOOD = (Condition("Ready", True, "AllPeersReady"), Condition("Degraded", False, "Healthy"))


@dataclass
class Faulty:
    """A loop that writes status and then does as it is told."""

    world: Context
    kind: Kind
    facts: Manifest
    fails: Callable[[], Exception] | None = None
    passes: int = 0
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def reconcile(self, subject: Manifest) -> Requeue:
        """Fail, or say that all is well."""
        self.passes += 1
        if self.fails:
            raise self.fails()
        await write_status(self.world, self.kind, subject, self.facts, GOOD)
        return Requeue(3600)


@dataclass
class Place:
    """One object of a kind, its loop and its runner."""

    loop: Faulty
    kubernetes: FakeKubernetes
    told: Recorder
    results: asyncio.Queue[str]
    runner: Runner

    async def passes(self, *results: str) -> None:
        """Wake the loop and wait for the passes that follow."""
        for expected in results:
            self.runner.wake(self.loop.kind, "default", "vectors")
            assert await self.results.get() == expected

    @property
    def status(self) -> Manifest:
        """Status as the API server has it."""
        found = self.kubernetes.server.get(self.loop.kind, "default", "vectors")
        assert found is not None
        return dict(found.get("status") or {})

    @property
    def version(self) -> str:
        """Which write the object is from."""
        found = self.kubernetes.server.get(self.loop.kind, "default", "vectors")
        assert found is not None
        return str(found["metadata"]["resourceVersion"])

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason by type."""
        return {one["type"]: (one["status"], one["reason"]) for one in self.status.get("conditions") or ()}


@asynccontextmanager
async def place(kind: Kind, **facts: str) -> AsyncIterator[Place]:
    """An object of this kind that its loop has found well once."""
    clock, told, peers = ManualClock(), Recorder(), FaultyRest()
    kubernetes = FakeKubernetes(now=clock.now)
    world = Context(kubernetes, peers, clock, told, Options("operator:test"))
    meta = {"name": "vectors", "namespace": "default"}
    await kubernetes.create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": {}})
    loop, results = Faulty(world, kind, facts), asyncio.Queue[str]()
    runner = Runner(
        kubernetes,
        {kind: loop},
        lambda _kind, result, _seconds: results.put_nowait(result),
        partial(report_defect, world),
    )
    kubernetes.listen(Wakeups(runner))
    made = Place(loop, kubernetes, told, results, runner)
    await made.passes("ok")
    yield made
    await runner.stop(1)
    await peers.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_that_nobody_foresaw_is_told_on_the_object_and_ends_with_its_cause(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """Conditions say that nothing is known, with a reference that is in the log, and never what the error said."""
    async with place(kind, phase="Running" if kind is Kind.SNAPSHOT else "Ready") as there:
        there.loop.fails = lambda: ValueError(f"Forbidden control character in {SECRET}")
        await there.passes("error", "error")
        certain = "False" if kind is Kind.SNAPSHOT else "Unknown"
        assert there.conditions == {
            "Ready": (certain, "InternalError"),
            "Degraded": (certain, "InternalError"),
        }
        (message,) = {one["message"] for one in there.status["conditions"]}
        references = {getattr(record, "reference", "") for record in caplog.records} - {""}
        assert len(references) == 1
        assert f"reference {references.pop()} " in message
        assert SECRET not in f"{there.status}{there.told.events}"
        assert there.told.events == [("Warning", "InternalError", message)]
        there.loop.fails = None
        await there.passes("ok")
        assert there.conditions == {"Ready": ("True", "AllPeersReady"), "Degraded": ("False", "Healthy")}


async def test_one_failed_pass_is_not_told_yet() -> None:
    """Two changes that met may do that; a second failure in a row is no accident."""
    async with place(Kind.CLUSTER, phase="Ready") as there:
        there.loop.fails = lambda: KeyError("bootstrap")
        await there.passes("error")
        assert there.conditions["Ready"] == ("True", "AllPeersReady")
        assert there.status["phase"] == "Ready"
        await there.passes("error")
        assert there.status["phase"] == "Unknown"


async def test_the_same_error_again_writes_and_tells_nothing() -> None:
    """And its status write does not wake the loop: the pauses of the back-off hold."""
    async with place(Kind.CLUSTER, phase="Ready") as there:
        there.loop.fails = lambda: ValueError("always")
        await there.passes("error", "error")
        version = there.version
        await there.passes("error", "error")
        assert there.version == version
        assert len(there.told.events) == 1
        assert there.loop.passes == 5
        assert there.results.empty()


async def test_a_snapshot_that_is_over_keeps_its_conditions() -> None:
    """Whether it can be restored is no matter of the operator's passes."""
    async with place(Kind.SNAPSHOT, phase="Verified") as there:
        there.loop.fails = lambda: ValueError("always")
        await there.passes("error", "error")
        assert there.conditions["Ready"] == ("True", "AllPeersReady")
        assert [reason for _, reason, _ in there.told.events] == ["InternalError"]


async def test_a_refusal_that_no_loop_reports_is_told_in_its_own_words() -> None:
    """As a quota, or a right that is missing, met at an unforeseen place."""
    async with place(Kind.SCHEDULE) as there:
        there.loop.fails = lambda: Refused("Forbidden", "not allowed to create qdrantsnapshots")
        await there.passes("refused", "refused")
        assert there.conditions["Ready"] == ("Unknown", "Forbidden")
        assert there.status["conditions"][0]["message"] == "not allowed to create qdrantsnapshots"


async def test_a_report_that_fails_does_not_end_the_flight(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next failed pass tries to tell again."""
    monkeypatch.setattr(runner_module, "BACKOFF", Backoff(first=0.01, longest=60.0))
    async with place(Kind.CLUSTER, phase="Ready") as there:
        there.loop.fails = lambda: ValueError("always")

        async def refused(*_: object, **__: object) -> Manifest:
            raise Refused("Forbidden", "no rights on status")

        with caplog.at_level(logging.WARNING), monkeypatch.context() as patched:
            patched.setattr(there.kubernetes, "patch_status", refused)
            await there.passes("error", "error")
            assert "A failed pass was not reported" in caplog.messages
        await there.passes("error")
        assert there.conditions["Ready"] == ("Unknown", "InternalError")
