"""The NetworkPolicy comes, follows the spec, and goes: ours only."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER

NAME = f"{CLUSTER}-peers"


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A new cluster."""
    async with one_cluster() as found:
        yield found


async def wants(place: Place, **policy: object) -> None:
    """Change spec.networkPolicy and take some passes."""
    place.edit(networkPolicy=policy)
    await place.passes()


def policy_of(place: Place) -> Manifest | None:
    """The NetworkPolicy now."""
    return place.there(Kind.NETWORK_POLICY, NAME)


async def test_it_is_there_without_being_asked_for(place: Place) -> None:
    """A cluster whose spec says nothing of it has one, which it owns."""
    await wants(place)
    policy = policy_of(place)
    assert policy is not None
    owners = [one["uid"] for one in policy["metadata"]["ownerReferences"]]
    assert owners == [place.subject["metadata"]["uid"]]


async def test_the_operator_lets_itself_in(place: Place) -> None:
    """With a list of clients its own pods are in the policy, by their namespace and labels."""
    await wants(place, clients=[])
    policy = policy_of(place)
    assert policy is not None
    own = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
        "podSelector": {"matchLabels": {"app": "operator"}},
    }
    assert own in policy["spec"]["ingress"][0]["from"]


async def test_it_goes_when_it_is_disabled_and_comes_back(place: Place) -> None:
    """Deleted once, and reported; recreated when it is enabled again."""
    await wants(place)
    await wants(place, enabled=False)
    assert policy_of(place) is None
    said = [message for _, reason, message in place.told.events if reason == "ObjectDeleted"]
    assert said == [f"delete NetworkPolicy {NAME} (spec.networkPolicy.enabled is false)"]
    await wants(place, enabled=True)
    assert policy_of(place) is not None


async def test_somebody_elses_stays(place: Place) -> None:
    """A policy of that name that the QdrantCluster does not own is not deleted, even with our label."""
    labels = {"app.kubernetes.io/managed-by": "qdrant-operator"}
    place.make(Kind.NETWORK_POLICY, NAME, labels)
    await wants(place, enabled=False)
    assert policy_of(place) is not None
    assert place.told.events == [one for one in place.told.events if one[1] != "ObjectDeleted"]
