"""A cluster that cannot be made as its spec says: it is said once, and stays said, until a user acts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, USER, manifest


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster whose client Service has the name of another owner."""
    async with one_cluster() as found:
        found.make(Kind.SERVICE, CLUSTER)
        yield found


async def test_a_refused_step_is_said_once_and_stays_said(place: Place) -> None:
    """In status, as an Event and as a metric; further passes write nothing and say nothing new."""
    await place.passes(3)
    assert place.guards == ["NameClash"]
    assert place.told.guards == {CLUSTER: ("NameClash",)}
    writes, events = len(place.kubernetes.writes), list(place.told.events)
    assert [reason for _, reason, _ in events].count("NameClash") == 1
    before = place.subject
    await place.passes(5)
    assert place.subject == before
    assert place.told.events == events
    assert len(place.kubernetes.writes) == writes
    assert place.told.guards == {CLUSTER: ("NameClash",)}


async def test_when_the_cause_is_gone_it_goes_on_and_says_so(place: Place) -> None:
    """A user deletes the other Service: the objects are made, and the refusal leaves status and metrics."""
    await place.passes(3)
    place.kubernetes.server.delete(Kind.SERVICE, NAMESPACE, CLUSTER)
    await place.passes(1)
    assert "NameClash" not in place.guards
    assert "NameClash" not in place.told.guards[CLUSTER]
    await place.passes(1)
    assert place.there(Kind.STATEFUL_SET) is not None


async def test_an_object_of_another_cluster_is_not_taken_over(place: Place) -> None:
    """QdrantCluster vectors-peers came first: its client Service has the name of our headless one, and our label."""
    other = place.kubernetes.server.create(
        manifest(Kind.CLUSTER, f"{CLUSTER}-peers", {"version": "v1.19.0", "replicas": 1}), USER
    )
    place.kubernetes.server.delete(Kind.SERVICE, NAMESPACE, CLUSTER)
    owner = {
        "apiVersion": other["apiVersion"], "kind": "QdrantCluster", "controller": True,
        "name": f"{CLUSTER}-peers", "uid": other["metadata"]["uid"],
    }  # fmt: skip
    made = manifest(Kind.SERVICE, f"{CLUSTER}-peers", {"type": "ClusterIP"}, dict(names.MANAGED))
    made["metadata"]["ownerReferences"] = [owner]
    before = place.kubernetes.server.create(made, USER)
    await place.passes(5)
    assert place.guards == ["NameClash"]
    assert place.there(Kind.SERVICE, f"{CLUSTER}-peers") == before
    place.kubernetes.server.delete(Kind.CLUSTER, NAMESPACE, f"{CLUSTER}-peers")
    await place.passes(3)
    assert "NameClash" not in place.guards
