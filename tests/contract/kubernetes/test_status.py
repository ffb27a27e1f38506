"""Status and spec are two doors, each for one version: the same for the fake and for the real API server."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.contract.kubernetes.worlds import World, cluster, delete, read


async def test_status_is_replaced_as_a_whole(world: World) -> None:
    """Fields that the new status lacks disappear, at every depth; spec and generation stay."""
    made = await world.kubernetes.create(cluster(world.namespace, "vectors"))
    first = {
        "phase": "Pending",
        "bootstrap": {"phase": "Formed", "pod": "vectors-0", "peerId": 7},
        "shards": {"wanted": 1, "sound": 0, "dead": 0, "transfers": 0},
    }
    written = await _write_status(world, made, first)
    second = {"phase": "Ready", "bootstrap": {"phase": "Complete", "pod": "vectors-0"}}
    again = await _write_status(world, written, second)

    assert written["status"] == first
    assert again["status"] == second
    now = await read(world, Kind.CLUSTER, "vectors")
    assert now["status"] == second
    assert now["spec"] == made["spec"]
    assert now["metadata"]["generation"] == 1


async def test_status_of_an_older_version_conflicts(world: World) -> None:
    """A status is written on exactly the version it was decided on, whatever the cache knows by then."""
    made = await world.kubernetes.create(cluster(world.namespace, "vectors"))
    await world.edit(Kind.CLUSTER, "vectors", {"metadata": {"labels": {"team": "search"}}})
    with pytest.raises(Conflict):
        await _write_status(world, made, {"phase": "Ready"})

    assert not (await read(world, Kind.CLUSTER, "vectors")).get("status")


async def test_status_of_an_object_that_was_made_anew_conflicts(world: World) -> None:
    """The successor of the same name never gets its predecessor's status."""
    first = await world.kubernetes.create(cluster(world.namespace, "vectors"))
    await delete(world, Kind.CLUSTER, first)
    await world.kubernetes.create(cluster(world.namespace, "vectors"))
    with pytest.raises(Conflict):
        await _write_status(world, first, {"phase": "Ready"})

    assert not (await read(world, Kind.CLUSTER, "vectors")).get("status")


async def test_a_patch_of_the_object_leaves_status_alone(world: World) -> None:
    """Main resource and status are two doors."""
    await world.kubernetes.create(cluster(world.namespace, "vectors"))
    body = {"spec": {"paused": True}, "status": {"phase": "Ready"}}
    patched = await world.kubernetes.patch(Kind.CLUSTER, world.namespace, "vectors", body)

    assert not patched.get("status")
    assert patched["spec"]["paused"] is True
    assert patched["metadata"]["generation"] == 2


async def _write_status(world: World, subject: Manifest, status: Manifest) -> Manifest:
    meta = subject["metadata"]
    return await world.kubernetes.patch_status(
        Kind.CLUSTER,
        world.namespace,
        meta["name"],
        resource_version=meta["resourceVersion"],
        status=status,
    )
