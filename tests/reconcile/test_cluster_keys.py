"""The key of a cluster outlives the Secrets that hold it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from qdrant_operator.domain.names import auth_secret, peer_auth_secret
from qdrant_operator.domain.wire import Kind, Manifest
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


async def test_a_line_break_at_the_end_is_no_part_of_the_keys(place: Place) -> None:
    """The peers take both keys cleaned, from the operator's own Secret."""
    values = {"all": b"s3cret\n", "reads": b"look\r\n"}
    place.make(Kind.SECRET, "mine", data={k: base64.b64encode(v).decode() for k, v in values.items()})
    all_of_it, reads = ({"secretRef": {"name": "mine", "key": key}} for key in values)
    lose_both(place)
    place.edit(auth={"apiKey": all_of_it, "readOnlyApiKey": reads})
    await place.passes()
    own = place.there(Kind.SECRET, peer_auth_secret(CLUSTER))
    assert own is not None
    assert {key: base64.b64decode(value) for key, value in own["data"].items()} == {
        "api-key": b"s3cret",
        "read-only-api-key": b"look",
    }
    assert keys(place) == ["s3cret", "s3cret"]
    assert {one["secretKeyRef"]["name"] for one in sources(place)} == {peer_auth_secret(CLUSTER)}


@pytest.mark.parametrize("field", ["apiKey", "readOnlyApiKey"])
async def test_a_key_that_cannot_work_starts_nothing(field: str) -> None:
    """It is refused before any object is made, without being said; what is corrected is taken."""
    async with one_cluster() as place:
        place.make(Kind.SECRET, "mine", data={"key": base64.b64encode("schlüssel".encode()).decode()})
        place.edit(auth={field: {"secretRef": {"name": "mine", "key": "key"}}})
        await place.passes()
        assert place.guards == ["SecretValueInvalid"]
        assert "schl" not in str(place.subject["status"]) + str(place.told.events)
        assert place.there(Kind.STATEFUL_SET) is None
        place.kubernetes.server.delete(Kind.SECRET, NAMESPACE, "mine")
        place.make(Kind.SECRET, "mine", data={"key": base64.b64encode(b"corrected").decode()})
        await place.passes()
        assert place.guards == ["PodNotRunning"]
        assert place.there(Kind.STATEFUL_SET) is not None


def sources(place: Place) -> list[Manifest]:
    """Where the peers take variables from that are not written down in their template."""
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    given = found["spec"]["template"]["spec"]["containers"][0]["env"]
    return [one["valueFrom"] for one in given if "secretKeyRef" in one.get("valueFrom", {})]


def lose_both(place: Place) -> None:
    """Delete both Secrets in one moment."""
    for name in SECRETS:
        if place.there(Kind.SECRET, name):
            place.kubernetes.server.delete(Kind.SECRET, NAMESPACE, name)


def keys(place: Place) -> list[str]:
    """What the two Secrets hold now; empty where one is not."""
    found = (place.there(Kind.SECRET, name) or {} for name in SECRETS)
    return [base64.b64decode((secret.get("data") or {}).get("api-key", "")).decode() for secret in found]
