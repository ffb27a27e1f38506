"""A process whose Lease or watches ended does not go on as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from qdrant_operator.adapters.kubernetes.lease import LeadershipLost
from qdrant_operator.handlers import startup


class Ended(BaseException):
    """The process would end here."""


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit codes, and no end of the test run."""
    codes: list[int] = []

    def note(code: int) -> None:
        codes.append(code)
        raise Ended

    monkeypatch.setattr(os, "_exit", note)
    return codes


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    """Work that ends with this error."""

    async def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [LeadershipLost("taken"), KeyError("spec"), ValueError("no JSON"), RuntimeError("session is closed")],
)
async def test_work_that_must_last_ends_the_process_however_it_fails(
    error: Exception, exits: list[int]
) -> None:
    """Not the loss of the Lease alone: a record that cannot be read, or a session that is closed, ends it as well."""
    with pytest.raises(Ended):
        await startup._or_exit(failing(error)(), "it cannot last")
    assert exits == [3]


async def test_a_stop_is_no_failure(exits: list[int]) -> None:
    """Cancelled at SIGTERM: the process ends in order."""
    task = asyncio.create_task(startup._or_exit(asyncio.Event().wait(), "it cannot last"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert exits == []


async def test_a_lease_that_could_not_be_taken_is_not_taken() -> None:
    """The work before serving failed: that is no success."""
    with pytest.raises(KeyError):
        await startup._unless(asyncio.Event(), failing(KeyError("spec"))())  # type: ignore[arg-type]
