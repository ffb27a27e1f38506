"""What the storage adapter does with time and cancellation; what it stores is shown against a real server."""

from __future__ import annotations

import asyncio

import pytest

from qdrant_operator.adapters.object_storage import with_timeout


@pytest.mark.parametrize("turns", range(4))
async def test_a_call_that_is_stopped_as_its_answer_comes_is_stopped(turns: int) -> None:
    """A SIGTERM just then must still end the snapshot, whatever the loop has done of the answer."""
    answer = asyncio.get_running_loop().create_future()

    async def asked() -> int:
        return int(await answer)

    call = asyncio.create_task(with_timeout(60, asked()))
    await asyncio.sleep(0)
    answer.set_result(1)
    for _ in range(turns):
        await asyncio.sleep(0)
    stopped = call.cancel()
    await asyncio.wait({call})
    assert call.cancelled() is stopped


async def test_a_call_without_an_answer_ends_in_time() -> None:
    """The limit holds."""
    with pytest.raises(TimeoutError):
        await with_timeout(0.01, asyncio.Event().wait())
