"""Between a look and the restart that it decided, status may be written slowly: the pods are observed once more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from qdrant_operator.domain.cluster.steps import RestartPod
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.cluster.act import act
from qdrant_operator.reconcile.cluster.pods import read_pods
from qdrant_operator.reconcile.cluster.scope import Scope
from sandbox.fakes.kubernetes import Write
from tests.domain.clusters import desired, seen
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

FIRST, SECOND = f"{CLUSTER}-0", f"{CLUSTER}-1"


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """Two pods of a cluster."""
    async with one_cluster() as found:
        labels = {**names.peer_selector(CLUSTER), **names.MANAGED}
        for name in (FIRST, SECOND):
            found.make(Kind.POD, name, labels)
        yield found


def decided(place: Place) -> tuple[Scope, RestartPod]:
    """What is seen now, and the restart of the second pod."""
    pods = read_pods(place.world, NAMESPACE, CLUSTER, None)
    return Scope(desired(), seen(pods, {}), {}), RestartPod(SECOND, pods[1].uid, "its template changed")


async def test_a_restart_is_carried_out_on_what_was_seen(place: Place) -> None:
    """Nothing changed: the pod goes."""
    look, step = decided(place)
    await act(place.world, place.subject, look, step)
    assert (
        "deletionTimestamp"
        in (place.there(Kind.POD, SECOND) or {"metadata": ["deletionTimestamp"]})["metadata"]
    )


async def test_no_restart_beside_a_pod_that_changed(place: Place) -> None:
    """A user deleted the other pod in the meantime; it is back, and requests that missed it may still fail."""
    look, step = decided(place)
    place.kubernetes.server.delete(Kind.POD, NAMESPACE, FIRST)
    if place.there(Kind.POD, FIRST):
        with pytest.raises(Conflict, match=f"{FIRST} changed since they were observed"):
            await act(place.world, place.subject, look, step)
        place.kubernetes.server.finish(Kind.POD, NAMESPACE, FIRST)
    place.make(Kind.POD, FIRST, names.peer_selector(CLUSTER))
    with pytest.raises(Conflict, match=f"{FIRST} changed since they were observed"):
        await act(place.world, place.subject, look, step)
    kept = place.there(Kind.POD, SECOND)
    assert kept is not None
    assert "deletionTimestamp" not in kept["metadata"]


async def test_no_restart_of_a_pod_that_is_another_one(place: Place) -> None:
    """It was restarted already."""
    look, _ = decided(place)
    with pytest.raises(Conflict, match="was already recreated"):
        await act(place.world, place.subject, look, RestartPod(SECOND, "uid-before", "its template changed"))


async def test_a_restart_of_which_nobody_knows_any_more_stops_no_pod_that_is_in_service(place: Place) -> None:
    """The operator died with its deletion under way, and the next one has put the pod into service again."""
    look, step = decided(place)
    put_back = {"metadata": {"labels": {names.LABEL_SERVING: "true"}}}

    def before(write: Write, after: bool) -> None:
        if write.operation == "delete" and not after:
            place.kubernetes.server.patch(Kind.POD, NAMESPACE, SECOND, put_back, "the next operator")

    place.kubernetes.on_write = before
    with pytest.raises(Conflict, match="changed while it was being deleted"):
        await act(place.world, place.subject, look, step)
    kept = place.there(Kind.POD, SECOND)
    assert kept is not None
    assert "deletionTimestamp" not in kept["metadata"]


async def test_no_restart_of_a_pod_that_clients_reach_again(place: Place) -> None:
    """A write of an operator that is gone has put the pod into service since the look."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    place.kubernetes.server.put_status(Kind.POD, NAMESPACE, SECOND, ready)
    look, step = decided(place)
    put_back = {"metadata": {"labels": {names.LABEL_SERVING: "true"}}}
    place.kubernetes.server.patch(Kind.POD, NAMESPACE, SECOND, put_back, "an operator that is gone")
    with pytest.raises(Conflict, match=f"{SECOND} is in service again"):
        await act(place.world, place.subject, look, step)
