"""What ran before is remembered where silence and a new QdrantCluster cannot erase it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE

CLAIM = names.claim_name(CLUSTER, 0)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A new cluster of v1.19.0, whose peers do not answer."""
    async with one_cluster() as found:
        yield found


def image(place: Place) -> str:
    """What the StatefulSet runs."""
    found = place.there(Kind.STATEFUL_SET)
    assert found is not None
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize(("version", "guard"), [("v1.18.0", "VersionDowngrade"), ("v1.25.0", "VersionSkip")])
async def test_an_outage_makes_no_hop_legal(place: Place, version: str, guard: str) -> None:
    """No peer answers for many passes: what ran last refuses the hop in all of them."""
    await place.passes()
    status = {**place.subject["status"], "version": "v1.19.0"}
    place.kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)
    place.edit(version=version)
    for _ in range(6):
        await place.passes(1)
        assert guard in place.guards
        assert image(place).endswith(":v1.19.0")


async def test_a_digest_pins_the_image_of_its_own_release_only(place: Place) -> None:
    """While the version of the spec is refused, the image that runs stays the one that it is, digest included."""
    old, new = (f"sha256:{digit * 64}" for digit in "ab")
    place.edit(image={"digest": old})
    await place.passes()
    assert image(place).endswith(f":v1.19.0@{old}")
    status = {**place.subject["status"], "version": "v1.19.0"}
    place.kubernetes.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)
    place.edit(version="v1.25.0", image={"digest": new})
    await place.passes()
    assert "VersionSkip" in place.guards
    assert image(place).endswith(f":v1.19.0@{old}")
    place.edit(version="v1.20.0")
    await place.passes()
    assert image(place).endswith(f":v1.20.0@{new}")
    place.edit(image={"digest": None})
    await place.passes()
    assert image(place).endswith(":v1.20.0")


def keep_claim(place: Place, release: str) -> None:
    """A claim of an earlier life, with the note of what ran on it."""
    notes = {names.ANNOTATION_RELEASE: release}
    place.make(Kind.CLAIM, CLAIM)
    place.kubernetes.server.patch(Kind.CLAIM, NAMESPACE, CLAIM, {"metadata": {"annotations": notes}}, "x")


@pytest.mark.parametrize(("release", "guard"), [("v1.20.0", "VersionDowngrade"), ("v1.17.0", "VersionSkip")])
async def test_retained_volumes_refuse_a_new_cluster_of_another_release(
    place: Place, release: str, guard: str
) -> None:
    """Before a pod exists; the right release is followed."""
    keep_claim(place, release)
    await place.passes()
    assert place.guards == [guard]
    assert place.there(Kind.STATEFUL_SET) is None
    place.edit(version="v1.20.0" if release == "v1.20.0" else "v1.18.0")
    with suppress(Conflict):  # the decision was written in the meantime: the runner looks again
        await place.passes(1)
    await place.passes()
    assert place.there(Kind.STATEFUL_SET) is not None


async def test_a_downgrade_is_an_act_of_its_own(place: Place) -> None:
    """The annotation names the release, for the operator and for the pods."""
    keep_claim(place, "v1.20.0")
    allowed = {"metadata": {"annotations": {names.ANNOTATION_ALLOW_DOWNGRADE: "v1.19.0"}}}
    place.kubernetes.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, allowed, "user")
    await place.passes()
    assert image(place).endswith(":v1.19.0")
    config = place.there(Kind.CONFIG_MAP, names.config_map(CLUSTER))
    assert config is not None
    assert config["data"]["allowed-downgrade"] == "v1.19.0\n"
