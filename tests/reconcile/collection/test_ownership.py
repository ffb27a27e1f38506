"""Whose a collection is: adoption, clashes, and what goes when an object is deleted."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, WHOLE, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_deletion_with_policy_delete_takes_the_collection_along(place: Town) -> None:
    """Aliases and collection are gone from every peer, then the object goes."""
    place.declare(**WHOLE, deletionPolicy="Delete")
    await place.settle()
    held = place.object()
    assert held is not None
    assert held["metadata"]["finalizers"] == [names.FINALIZER]
    place.delete(Kind.COLLECTION, "docs")
    await place.settle()
    assert place.object() is None
    for ordinal in range(3):
        assert await place.known(ordinal) == ()
        assert await place.qdrant.aliases(place.endpoint(ordinal)) == {}


async def test_a_deletion_goes_on_after_a_crash(place: Town) -> None:
    """The finalizer holds the object until the collection is gone, however often the operator dies."""
    place.declare(**WHOLE, deletionPolicy="Delete")
    await place.settle()
    place.delete(Kind.COLLECTION, "docs")
    place.qdrant.lose_answer_of["delete_collection"] = Unreachable("killed")
    with pytest.raises(Unreachable):
        await place.settle()
    assert place.object() is not None
    await place.settle(restarting=True)
    assert place.object() is None
    assert await place.known() == ()


async def test_retain_keeps_collection_and_data(place: Town) -> None:
    """No finalizer is ever put, and the collection stays."""
    place.declare()
    await place.settle()
    made = place.object()
    assert made is not None
    assert "finalizers" not in made["metadata"]
    place.delete(Kind.COLLECTION, "docs")
    assert place.object() is None
    assert await place.known() == ("docs",)


async def test_others_finalizers_are_left(place: Town) -> None:
    """Ours is added and taken away beside theirs."""
    place.declare(deletionPolicy="Delete")
    theirs = {"metadata": {"finalizers": ["example.com/theirs"]}}
    place.kubernetes.server.patch(Kind.COLLECTION, NAMESPACE, "docs", theirs, "them")
    await place.settle()
    place.delete(Kind.COLLECTION, "docs")
    await place.settle()
    left = place.object()
    assert left is not None
    assert left["metadata"]["finalizers"] == ["example.com/theirs"]


async def test_an_object_does_not_outlive_its_cluster(place: Town) -> None:
    """With the QdrantCluster gone the object is let go at once: a namespace's deletion never hangs on it."""
    place.declare(deletionPolicy="Delete")
    await place.settle()
    place.delete(Kind.CLUSTER, CLUSTER)
    place.delete(Kind.COLLECTION, "docs")
    assert place.object() is not None
    await place.settle()
    assert place.object() is None


async def test_a_cluster_that_is_not_known_yet_is_not_gone(place: Town) -> None:
    """An operator that has just started hears of the QdrantCollection first: the collection is deleted all the same."""
    place.declare(deletionPolicy="Delete")
    await place.settle()
    place.delete(Kind.COLLECTION, "docs")
    place.restart()
    place.kubernetes.forget(Kind.CLUSTER, NAMESPACE, CLUSTER)
    await place.settle()
    assert place.object() is None
    assert await place.known() == ()


async def test_a_second_object_for_the_same_collection_gets_a_name_clash(place: Town) -> None:
    """The older keeps the collection; the younger says whose it is, and its deletion takes nothing away."""
    place.declare("docs")
    place.clock.pass_by(5)
    place.declare("copy", name="docs", deletionPolicy="Delete", hnsw={"m": 32})
    await place.settle("docs")
    await place.settle("copy")
    status, reason, message = place.condition("Synced", "copy")
    assert (status, reason) == ("False", "NameClash")
    assert "default/docs" in message
    place.delete(Kind.COLLECTION, "copy")
    await place.settle("copy")
    assert place.object("copy") is None
    assert await place.known() == ("docs",)


async def test_a_collection_made_by_others_is_adopted_when_it_matches(place: Town) -> None:
    """It keeps its data and its config, and is this object's from now on."""
    body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2}
    await place.qdrant.create_collection(place.endpoint(), "docs", body)
    place.declare(aliases=["live"])
    await place.settle()
    assert place.condition("Ready")[0] == "True"
    assert place.status()["owned"] is True
    told = await place.qdrant.collection(place.endpoint(), "docs")
    assert told["config"]["params"]["shard_number"] == 2
    assert "CollectionAdopted" in [reason for _, reason, _ in place.told.events]


async def test_a_collection_that_differs_is_left_alone_even_on_deletion(place: Town) -> None:
    """Adoption is refused by name, and deletionPolicy Delete deletes nothing that is not ours."""
    body = {"vectors": {"size": 8, "distance": "Dot"}}
    await place.qdrant.create_collection(place.endpoint(), "docs", body)
    place.declare(deletionPolicy="Delete")
    await place.settle()
    status, reason, message = place.condition("Synced")
    assert (status, reason) == ("False", "AdoptionRefused")
    assert "vectors.size is 8, wanted 4" in message
    assert place.status()["owned"] is False
    place.delete(Kind.COLLECTION, "docs")
    await place.settle()
    assert place.object() is None
    assert await place.known() == ("docs",)
