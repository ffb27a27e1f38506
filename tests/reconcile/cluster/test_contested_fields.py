"""Another writer changes what we apply: it is named, written to at growing intervals, and holds nothing else up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from qdrant_operator.domain.common.errors import Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.cluster.memory import rivals as rival_memory
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

MIRROR = "mirror.example.com/qdrant/qdrant:v1.19.0"
FIRST = rival_memory.PAUSES.first
FIELD = "spec.template.spec.containers[qdrant].image"


def rewrite_image(kind: Kind, manifest: Manifest) -> Manifest:
    """What admission webhooks of image registries do."""
    if kind is not Kind.STATEFUL_SET:
        return manifest
    template = manifest["spec"]["template"]
    containers = [{**one, "image": MIRROR} for one in template["spec"]["containers"]]
    changed = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**manifest, "spec": {**manifest["spec"], "template": changed}}


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A new cluster."""
    async with one_cluster() as found:
        yield found


async def passes(place: Place, count: int) -> None:
    """So many passes; one that only wants to look again is one too."""
    for _ in range(count):
        try:
            await place.passes(1)
        except Retryable:
            continue


def applies(place: Place, kind: Kind) -> int:
    """Applies of this kind that reached the server."""
    return sum(write.operation == "apply" and write.kind is kind for write in place.kubernetes.writes)


def contested(place: Place) -> list[str]:
    """Sentences of the guard."""
    waits = place.subject["status"].get("blocked") or ()
    return [wait["message"] for wait in waits if wait["guard"] == "FieldContested"]


async def test_a_webhook_that_rewrites_the_image_is_named_and_not_fought(place: Place) -> None:
    """Forty passes without a pause write the StatefulSet once; later ones at growing intervals."""
    place.kubernetes.server.webhooks.append(rewrite_image)
    await passes(place, 40)
    assert applies(place, Kind.STATEFUL_SET) == 1
    (message,) = contested(place)
    assert message.startswith(
        f"{FIELD} of StatefulSet vectors is changed by a writer that is no field manager"
    )
    for pause in (FIRST, 2 * FIRST, 4 * FIRST):
        before = applies(place, Kind.STATEFUL_SET)
        place.clock.pass_by(pause - 0.1)
        await passes(place, 5)
        assert applies(place, Kind.STATEFUL_SET) == before
        place.clock.pass_by(0.2)
        await passes(place, 5)
        assert applies(place, Kind.STATEFUL_SET) == before + 1


async def test_the_other_steps_go_on(place: Place) -> None:
    """The image is contested; a Service that a user deleted is made again, and a changed config is applied."""
    place.kubernetes.server.webhooks.append(rewrite_image)
    await passes(place, 10)
    place.kubernetes.server.delete(Kind.SERVICE, NAMESPACE, CLUSTER)
    await passes(place, 3)
    assert place.there(Kind.SERVICE) is not None
    assert contested(place)


async def test_a_new_wish_is_applied_at_once(place: Place) -> None:
    """The user edits the spec while the image is contested: that edit does not wait for the pause."""
    place.kubernetes.server.webhooks.append(rewrite_image)
    await passes(place, 10)
    place.edit(podTemplate={"metadata": {"annotations": {"team": "search"}}})
    await passes(place, 3)
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    assert found["spec"]["template"]["metadata"]["annotations"]["team"] == "search"


async def test_when_the_webhook_is_gone_so_is_the_guard(place: Place) -> None:
    """The next try succeeds, and a minute later nothing is said any more."""
    place.kubernetes.server.webhooks.append(rewrite_image)
    await passes(place, 10)
    place.kubernetes.server.webhooks.clear()
    place.clock.pass_by(FIRST)
    await passes(place, 2)
    place.clock.pass_by(rival_memory.CALM.total_seconds() + 2 * FIRST + 1)
    await passes(place, 2)
    assert contested(place) == []
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] != MIRROR


async def test_a_controller_that_changes_it_back_is_named(place: Place) -> None:
    """A second writer restores its own value after each of our applies: its manager is in the sentence."""
    await passes(place, 6)
    for _ in range(40):
        place.kubernetes.server.patch(
            Kind.SERVICE,
            NAMESPACE,
            CLUSTER,
            {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}},
            "mesh",
        )
        await passes(place, 1)
    assert 1 < applies(place, Kind.SERVICE) <= rival_memory.TRIES + 3
    (message,) = contested(place)
    assert message.startswith("mesh also writes metadata.labels.app.kubernetes.io/name of Service vectors")


async def test_an_object_that_is_deleted_each_time_is_not_created_without_end(place: Place) -> None:
    """Forty passes while a clean-up job deletes the Service at once."""
    await passes(place, 6)
    for _ in range(40):
        if place.there(Kind.SERVICE) is not None:
            place.kubernetes.server.delete(Kind.SERVICE, NAMESPACE, CLUSTER)
        await passes(place, 1)
    assert applies(place, Kind.SERVICE) <= rival_memory.TRIES + 3
    assert any(
        message.startswith("Service vectors is deleted after each time") for message in contested(place)
    )


@pytest.mark.parametrize("times", range(1, rival_memory.TRIES))
async def test_a_user_who_edits_by_hand_sees_it_put_back_at_once(place: Place, times: int) -> None:
    """That is no contest."""
    await passes(place, 6)
    for _ in range(times):
        place.kubernetes.server.patch(
            Kind.SERVICE,
            NAMESPACE,
            CLUSTER,
            {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}},
            "kubectl",
        )
        await passes(place, 2)
    found = place.there(Kind.SERVICE)
    assert found is not None
    assert found["metadata"]["labels"]["app.kubernetes.io/name"] != "x"
    assert contested(place) == []
