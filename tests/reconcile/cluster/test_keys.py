"""The key of a cluster outlives the Secrets that hold it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import auth_secret, peer_auth_secret
from qdrant_operator.reconcile.cluster.loop import ClusterReconciler
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, USER

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


@pytest.mark.parametrize("with_stateful_set", [True, False])
async def test_restored_objects_without_owners_bring_their_key(place: Place, with_stateful_set: bool) -> None:
    """What a backup of Kubernetes leaves: no owner references and no status, with or without the StatefulSet."""
    before = keys(place)
    apply_again(place, orphan=True)
    if not with_stateful_set:
        place.kubernetes.server.delete(Kind.STATEFUL_SET, NAMESPACE, CLUSTER)
    await place.passes()
    assert keys(place) == before
    assert "ApiKeyLost" not in place.guards
    assert place.there(Kind.STATEFUL_SET) is not None


async def test_the_key_lives_as_long_as_the_volumes(place: Place) -> None:
    """Deleted and applied again: the volumes were kept (whenDeleted Retain), and so was the key."""
    before = keys(place)
    apply_again(place)
    assert keys(place) == ["", before[1]]
    await place.passes()
    assert keys(place) == before


async def test_the_key_goes_with_the_volumes(place: Place) -> None:
    """With whenDeleted Delete nothing is kept; the change of mind needs no new cluster."""
    before = keys(place)
    place.edit(persistence={"whenDeleted": "Delete"})
    await place.passes()
    apply_again(place)
    assert keys(place) == ["", ""]
    await place.passes()
    assert keys(place)[0] not in ("", before[0])


async def test_a_key_that_appears_while_one_is_made_is_not_overwritten() -> None:
    """A restore that is slower than the operator."""
    async with one_cluster() as place:
        meta = {"labels": names.cluster_labels(CLUSTER)}
        data = {"api-key": base64.b64encode(b"restored").decode()}

        def slow_restore() -> str:
            place.kubernetes.lag()
            place.make(Kind.SECRET, peer_auth_secret(CLUSTER), meta["labels"], data=data)
            return "made-too-late"

        place.loop = ClusterReconciler(replace(place.world, new_key=slow_restore))
        await place.passes(2)
        place.kubernetes.catch_up()
        place.loop = ClusterReconciler(place.world)
        await place.passes()
        assert keys(place) == ["restored", "restored"]


async def test_a_corrected_secret_replaces_the_key_until_the_cluster_was_complete(place: Place) -> None:
    """Nothing is lost by it: no application had the key yet. Pods that run with the old one are outdated by it."""
    before, template = keys(place), template_of(place)
    give(place, b"corrected")
    await place.passes()
    assert keys(place) == ["corrected", "corrected"] != before
    assert "KeyChanged" not in place.guards
    assert template_of(place) != template
    template = template_of(place)
    await place.passes()
    assert template_of(place) == template


async def test_a_complete_cluster_keeps_its_key(place: Place) -> None:
    """The sentence leads to the key in force, which need not be remembered by a user."""
    before = keys(place)
    complete(place)
    give(place, b"another")
    await place.passes()
    assert keys(place) == before
    said = next(wait for wait in place.subject["status"]["blocked"] if wait["guard"] == "KeyChanged")
    assert "write the key in force into it, which Secret 'vectors-auth' holds" in said["message"]


async def test_a_users_secret_of_our_name_survives_the_remedy() -> None:
    """It may hold the only copy of their key: the sentence has it copied before it goes, and nothing is written."""
    async with one_cluster() as place:
        data = {"api-key": base64.b64encode(b"mine").decode()}
        place.make(Kind.SECRET, auth_secret(CLUSTER), data=data)
        place.edit(auth={"apiKey": {"secretRef": {"name": auth_secret(CLUSTER), "key": "api-key"}}})
        await place.passes()
        assert place.guards == ["NameClash"]
        said = place.subject["status"]["blocked"][0]["message"]
        assert said.index("copy it under another name") < said.index("delete the original")
        assert (place.there(Kind.SECRET, auth_secret(CLUSTER)) or {})["data"] == data


def give(place: Place, value: bytes) -> None:
    """A user puts a key of their own into a Secret and names it."""
    place.make(Kind.SECRET, "mine", data={"key": base64.b64encode(value).decode()})
    place.edit(auth={"apiKey": {"secretRef": {"name": "mine", "key": "key"}}})


def complete(place: Place) -> None:
    """The cluster is called complete."""
    status = {**place.subject["status"], "bootstrap": {"phase": "Complete", "pod": "vectors-0"}}
    place.kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)


def apply_again(place: Place, *, orphan: bool = False) -> None:
    """Delete the QdrantCluster, with its dependents or without, and apply the same manifest again."""
    server = place.kubernetes.server
    again = {key: value for key, value in place.subject.items() if key != "status"}
    server.delete(Kind.CLUSTER, NAMESPACE, CLUSTER)
    if orphan:
        for (kind, namespace, name), found in list(server.objects.items()):
            if found["metadata"].get("ownerReferences"):
                server.patch(kind, namespace, name, {"metadata": {"ownerReferences": None}}, USER)
    server.collect_garbage()
    server.create(again, USER)


def template_of(place: Place) -> str:
    """Hash of the pods' template."""
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    return str(found["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE])


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
