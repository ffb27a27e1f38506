"""The key of a cluster outlives the Secrets that hold it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest_asyncio

from qdrant_operator.domain.names import auth_secret, peer_auth_secret
from qdrant_operator.domain.wire import Kind
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

SECRETS = (auth_secret(CLUSTER), peer_auth_secret(CLUSTER))


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster whose objects are made."""
    async with one_cluster() as found:
        await found.passes()
        yield found


async def test_either_secret_brings_the_other_back(place: Place) -> None:
    """One of the two is deleted, then the other: the key stays what it was."""
    before = keys(place)
    for name in SECRETS:
        place.kubernetes.server.delete(Kind.SECRET, NAMESPACE, name)
        await place.passes()
    assert keys(place) == before
    assert len(set(before)) == 1


async def test_no_other_key_is_made_for_peers_that_have_one(place: Place) -> None:
    """Both are deleted at once: the status says where the key still is, and nothing is written to owned objects."""
    pods = place.there(Kind.STATEFUL_SET)
    lose_both(place)
    await place.passes()
    assert place.guards == ["ApiKeyLost"]
    assert "kubectl exec vectors-0 -- printenv QDRANT__SERVICE__API_KEY" in str(place.subject["status"])
    assert keys(place) == ["", ""]
    assert place.there(Kind.STATEFUL_SET) == pods


async def test_a_key_that_is_given_back_ends_it(place: Place) -> None:
    """The user follows the sentence: both Secrets hold the old key again, and the name may leave the spec."""
    before = keys(place)
    lose_both(place)
    await place.passes()
    place.make(Kind.SECRET, "found", data={"key": base64.b64encode(before[0].encode()).decode()})
    place.edit(auth={"apiKey": {"secretRef": {"name": "found", "key": "key"}}})
    await place.passes()
    assert keys(place) == before
    place.edit(auth=None)
    await place.passes()
    assert keys(place) == before
    assert "ApiKeyLost" not in place.guards


async def test_a_cluster_that_had_no_key_gets_one(place: Place) -> None:
    """Without authentication at first: when it is enabled, nothing was lost, and a key is made."""
    place.edit(auth={"disabled": True})
    await place.passes()
    lose_both(place)
    place.edit(auth={"disabled": False})
    await place.passes()
    assert len(set(keys(place))) == 1
    assert keys(place)[0]


def lose_both(place: Place) -> None:
    """Delete both Secrets in one moment."""
    for name in SECRETS:
        if place.there(Kind.SECRET, name):
            place.kubernetes.server.delete(Kind.SECRET, NAMESPACE, name)


def keys(place: Place) -> list[str]:
    """What the two Secrets hold now; empty where one is not."""
    found = (place.there(Kind.SECRET, name) or {} for name in SECRETS)
    return [base64.b64decode((secret.get("data") or {}).get("api-key", "")).decode() for secret in found]
