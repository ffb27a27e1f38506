"""A grey collection: its optimizations are started by one harmless call, with growing pauses."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.collection import memory
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, USER, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIRST = memory.RESTARTS.first


async def grey(place: Town) -> None:
    """A collection that is as declared, after all its peers were restarted."""
    place.declare(replicationFactor=2)
    await place.settle()
    place.qdrant.grey = True


def starts(place: Town) -> int:
    """How often optimizations were started, by the Events."""
    return [reason for _, reason, _ in place.told.events].count("OptimizationsStarted")


async def test_pending_optimizations_are_named_and_started_once(place: Town) -> None:
    """One call, whatever the number of passes; the collection stays Ready and in sync with its spec."""
    await grey(place)
    before = len(place.qdrant.changes)
    for _ in range(20):
        await place.once()
    assert place.qdrant.changes[before:] == ["update_collection"]
    assert place.condition("Indexed")[:2] == ("False", "OptimizationsPending")
    assert place.condition("Ready")[0] == "True"
    assert place.condition("Synced")[0] == "True"
    assert starts(place) == 1


async def test_they_are_started_again_after_growing_pauses(place: Town) -> None:
    """Where the call does not help, it is not sent in every pass."""
    await grey(place)
    await place.once()
    for number, pause in enumerate((FIRST, 2 * FIRST, 4 * FIRST), start=1):
        place.clock.pass_by(pause - 1)
        await place.once()
        assert starts(place) == number
        place.clock.pass_by(1)
        await place.once()
        assert starts(place) == number + 1


async def test_after_they_were_done_the_next_ones_are_started_at_once(place: Town) -> None:
    """Green in between: the peers were restarted once more."""
    await grey(place)
    await place.once()
    place.qdrant.grey = False
    await place.once()
    assert place.condition("Indexed")[0] == "True"
    place.qdrant.grey = True
    await place.once()
    assert starts(place) == 2


async def test_nothing_is_started_while_the_cluster_is_paused(place: Town) -> None:
    """It is only named."""
    await grey(place)
    place.kubernetes.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": {"paused": True}}, USER)
    for _ in range(3):
        await place.once()
    assert starts(place) == 0
    assert place.condition("Indexed")[:2] == ("False", "OptimizationsPending")
