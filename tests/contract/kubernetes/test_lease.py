"""Two operators never act: leader election against the real API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from qdrant_operator.adapters.kubernetes.credentials import load_api_server, open_session
from qdrant_operator.adapters.kubernetes.lease import LeaderLease, LeadershipLost, LeaseTiming
from qdrant_operator.adapters.kubernetes.transport import MERGE_PATCH, Transport, path_of
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox

TIMING = LeaseTiming(duration=2.0, renew=1.0, retry=0.1)
PATIENCE = 20.0


@pytest.fixture
async def transport(sandbox: Sandbox) -> AsyncIterator[Transport]:
    """A way to the real API server."""
    server = await load_api_server(str(sandbox.kubeconfig))
    async with open_session(server) as session:
        yield Transport(session, server.url)


def _contender(transport: Transport, namespace: str, identity: str) -> LeaderLease:
    return LeaderLease(transport, namespace, "operator", identity, timing=TIMING)


async def _lease(transport: Transport, namespace: str) -> Manifest:
    return await transport.get(Kind.LEASE, path_of(Kind.LEASE, namespace, "operator"))


async def test_of_many_contenders_one_holds(transport: Transport, namespace: str) -> None:
    """Five start at once on a Lease that does not exist: exactly one gets it."""
    contenders = [_contender(transport, namespace, f"operator-{n}") for n in range(5)]
    tasks = [asyncio.create_task(contender.acquire()) for contender in contenders]
    await asyncio.wait(tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    holders = [contender for contender in contenders if contender.is_holder()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert len(holders) == 1
    spec = (await _lease(transport, namespace))["spec"]
    assert spec["holderIdentity"] == f"operator-{contenders.index(holders[0])}"
    assert spec["leaseTransitions"] == 0


async def test_a_released_lease_is_taken_at_once(transport: Transport, namespace: str) -> None:
    """After a clean stop the next one need not wait for the lease to run out."""
    first, second = (_contender(transport, namespace, name) for name in ("first", "second"))
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await first.release()
    released = time.monotonic()
    assert not first.is_holder()
    await asyncio.wait_for(waiting, PATIENCE)

    assert second.is_holder()
    assert time.monotonic() - released < TIMING.duration
    spec = (await _lease(transport, namespace))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)


async def test_a_dead_holder_is_replaced_only_after_it_stopped_believing(
    transport: Transport, namespace: str
) -> None:
    """Without renewal the first holder's belief ends before the second one's begins."""
    first, second = (_contender(transport, namespace, name) for name in ("first", "second"))
    await first.acquire()
    began = time.monotonic()
    waiting = asyncio.create_task(second.acquire())
    both = False
    while not waiting.done():
        both = both or (first.is_holder() and second.is_holder())
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < PATIENCE

    assert not both
    assert not first.is_holder()
    assert time.monotonic() - began >= TIMING.duration - 0.1


async def test_a_renewed_lease_stays(transport: Transport, namespace: str) -> None:
    """While the holder renews, the other waits longer than the lease lasts and gets nothing."""
    first, second = (_contender(transport, namespace, name) for name in ("first", "second"))
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.acquire())
    done, _ = await asyncio.wait({keeping, waiting}, timeout=TIMING.duration * 1.5)

    assert not done
    assert first.is_holder()
    assert not second.is_holder()
    for task in (keeping, waiting):
        task.cancel()
    await asyncio.gather(keeping, waiting, return_exceptions=True)


async def test_a_stolen_lease_is_lost(transport: Transport, namespace: str) -> None:
    """Somebody writes his own name into the Lease: the holder notices at its next renewal and stops."""
    holder = _contender(transport, namespace, "holder")
    await holder.acquire()
    keeping = asyncio.create_task(holder.keep())
    path = path_of(Kind.LEASE, namespace, "operator")
    body = {"spec": {"holderIdentity": "thief"}}
    await transport.write("PATCH", Kind.LEASE, path, body=body, content_type=MERGE_PATCH)

    with pytest.raises(LeadershipLost, match="holder lost the Lease operator"):
        await asyncio.wait_for(keeping, PATIENCE)
    assert not holder.is_holder()
    assert (await _lease(transport, namespace))["spec"]["holderIdentity"] == "thief"
    await holder.release()
    assert (await _lease(transport, namespace))["spec"]["holderIdentity"] == "thief"


async def test_a_holder_without_a_server_gives_up_in_time(transport: Transport, namespace: str) -> None:
    """When the API server cannot be reached, the holder stops before another one may start."""
    holder = _contender(transport, namespace, "holder")
    await holder.acquire()
    began = time.monotonic()
    transport.url = "http://127.0.0.1:1"
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(holder.keep(), PATIENCE)

    assert not holder.is_holder()
    assert TIMING.renew - 0.5 < time.monotonic() - began < TIMING.duration
