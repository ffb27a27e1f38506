"""A StatefulSet whose controller has given up for a while is made to look again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.common.names import ANNOTATION_REMINDED
from qdrant_operator.reconcile.cluster.memory import pods as pod_memory
from sandbox.fakes.statefulset import Kubelet, StatefulSets
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

PATIENCE = pod_memory.PATIENCE.total_seconds()
MOMENT = 0.1
"""Seconds."""
FIRST = f"{CLUSTER}-0"


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster whose StatefulSet is made and has no pod."""
    async with one_cluster() as found:
        await found.passes()
        yield found


async def test_a_pod_that_nobody_makes_is_asked_for(place: Place) -> None:
    """Not before ten seconds are over; then once, and once more after ten seconds in which nothing came of it."""
    assert reminded(place) is None
    place.clock.pass_by(PATIENCE - MOMENT)
    await place.passes()
    assert reminded(place) is None
    place.clock.pass_by(MOMENT)
    await place.passes()
    first = reminded(place)
    assert first is not None
    place.clock.pass_by(PATIENCE - MOMENT)
    await place.passes()
    assert reminded(place) == first
    place.clock.pass_by(MOMENT)
    await place.passes()
    assert reminded(place) != first


async def test_it_is_told_with_the_pods_name(place: Place) -> None:
    """An Event says which pod is missing; the annotation is no drift to restore."""
    place.clock.pass_by(PATIENCE)
    await place.passes()
    said = [message for _, reason, message in place.told.events if reason == "StatefulSetRetriggered"]
    assert said == ["retrigger the StatefulSet: vectors-0 is missing"]
    assert [reason for _, reason, _ in place.told.events if reason == "ObjectRestored"] == []


async def test_a_pod_that_is_there_needs_no_reminder(place: Place) -> None:
    """However long it takes to start, or to stop."""
    StatefulSets(place.kubernetes.server).sync()
    Kubelet(place.kubernetes.server).start_all()
    await waited(place)
    assert reminded(place) is None
    place.kubernetes.server.delete(Kind.POD, NAMESPACE, FIRST)
    await waited(place)
    assert place.there(Kind.POD, FIRST) is not None
    assert reminded(place) is None


async def waited(place: Place) -> None:
    """Look, wait for long, and look again."""
    await place.passes()
    place.clock.pass_by(10 * PATIENCE)
    await place.passes()


def reminded(place: Place) -> str | None:
    """When the StatefulSet was reminded last."""
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    said = found["metadata"]["annotations"].get(ANNOTATION_REMINDED)
    return None if said is None else str(said)
