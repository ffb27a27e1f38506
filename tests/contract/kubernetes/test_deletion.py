"""How objects go, with finalizers, grace and owners: the same for the fake and for the real API server."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.contract.kubernetes.worlds import World, bound_pod, cluster, config_map, delete, read


async def test_delete_removes_from_server_and_cache_at_once(world: World) -> None:
    """After a delete the cache does not show the object any more, nor does a late event bring it back."""
    made = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await delete(world, Kind.CONFIG_MAP, made)

    assert world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings") is None
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "settings") is None
    again = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    assert world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings") is not None
    assert again["metadata"]["uid"] != made["metadata"]["uid"]


async def test_delete_spares_an_object_with_another_uid(world: World) -> None:
    """Who deletes names the uid he saw; its successor of the same name lives, and that is success."""
    first = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await delete(world, Kind.CONFIG_MAP, first)
    second = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await delete(world, Kind.CONFIG_MAP, first)

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["metadata"]["uid"] == second["metadata"]["uid"]
    known = world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings")
    assert known is not None
    assert known["metadata"]["uid"] == second["metadata"]["uid"]


async def test_deleting_what_is_gone_is_success(world: World) -> None:
    """The wanted state is reached."""
    await world.kubernetes.delete(Kind.CONFIG_MAP, world.namespace, "nothing", uid="0-0-0")

    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "nothing") is None


async def test_a_finalizer_holds_a_deleted_object(world: World) -> None:
    """The deletion shows in the cache at once; taking the finalizer away ends the object."""
    wanted = config_map(world.namespace, "settings", {})
    wanted["metadata"]["finalizers"] = [names.FINALIZER]
    made = await world.kubernetes.create(wanted)
    await delete(world, Kind.CONFIG_MAP, made)
    held = world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings")
    assert held is not None
    assert held["metadata"]["deletionTimestamp"]

    body = {"metadata": {"finalizers": None, "resourceVersion": held["metadata"]["resourceVersion"]}}
    await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "settings", body)
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "settings") is None

    async def forgotten() -> bool:
        return world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings") is None

    await world.until(forgotten)


async def test_deletion_raises_the_generation_of_our_kinds(world: World) -> None:
    """A deletion is a change of what is wanted: observedGeneration tells whether it was seen."""
    wanted = cluster(world.namespace, "vectors")
    wanted["metadata"]["finalizers"] = [names.FINALIZER]
    made = await world.kubernetes.create(wanted)
    await delete(world, Kind.CLUSTER, made)
    held = world.kubernetes.cached_one(Kind.CLUSTER, world.namespace, "vectors")

    assert held is not None
    assert held["metadata"]["generation"] == 2
    await world.kubernetes.patch(Kind.CLUSTER, world.namespace, "vectors", {"metadata": {"finalizers": None}})
    assert await world.kubernetes.read(Kind.CLUSTER, world.namespace, "vectors") is None


async def test_a_running_pod_is_deleted_with_grace(world: World) -> None:
    """The cache shows at once that the pod is going; it is gone when the kubelet says so."""
    made = await world.kubernetes.create(bound_pod(world.namespace, "vectors-0"))
    await delete(world, Kind.POD, made)
    going = world.kubernetes.cached_one(Kind.POD, world.namespace, "vectors-0")
    assert going is not None
    assert going["metadata"]["deletionTimestamp"]
    await delete(world, Kind.POD, made)
    assert world.kubernetes.cached_one(Kind.POD, world.namespace, "vectors-0") is not None
    await world.finish("vectors-0")

    async def gone() -> bool:
        return world.kubernetes.cached_one(Kind.POD, world.namespace, "vectors-0") is None

    await world.until(gone)
    assert await world.kubernetes.read(Kind.POD, world.namespace, "vectors-0") is None


async def test_dependents_go_with_their_owner(world: World) -> None:
    """The garbage collector takes what an owner reference binds, and nothing else."""
    owner = await world.kubernetes.create(config_map(world.namespace, "owner", {}))
    await world.kubernetes.create(_owned(world, "child", owner))
    await world.kubernetes.create(config_map(world.namespace, "stranger", {}))
    await delete(world, Kind.CONFIG_MAP, owner)

    async def collected() -> bool:
        return await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "child") is None

    await world.until(collected)
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "stranger") is not None


async def test_foreground_deletion_waits_for_dependents(world: World) -> None:
    """The owner stays, marked as going, until the child that a finalizer holds is gone."""
    owner = await world.kubernetes.create(config_map(world.namespace, "owner", {}))
    child = _owned(world, "child", owner)
    child["metadata"]["finalizers"] = [names.FINALIZER]
    await world.kubernetes.create(child)
    await delete(world, Kind.CONFIG_MAP, owner, foreground=True)

    async def child_goes() -> bool:
        return "deletionTimestamp" in (await read(world, Kind.CONFIG_MAP, "child"))["metadata"]

    async def owner_gone() -> bool:
        return await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "owner") is None

    await world.until(child_goes)
    assert "deletionTimestamp" in (await read(world, Kind.CONFIG_MAP, "owner"))["metadata"]
    await world.kubernetes.patch(
        Kind.CONFIG_MAP, world.namespace, "child", {"metadata": {"finalizers": None}}
    )
    await world.until(owner_gone)


def _owned(world: World, name: str, owner: Manifest) -> Manifest:
    manifest = config_map(world.namespace, name, {})
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
    manifest["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    return manifest


async def test_delete_spares_another_version_of_an_object(world: World) -> None:
    """Who names the version that was read deletes nothing that somebody has changed since, and is told so."""
    made = await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1"}))
    meta = made["metadata"]
    changed = await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "settings", {"data": {"a": "2"}})
    with pytest.raises(Conflict):
        await world.kubernetes.delete(
            Kind.CONFIG_MAP,
            world.namespace,
            "settings",
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
        )
    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "2"}
    now = changed["metadata"]["resourceVersion"]
    await world.kubernetes.delete(
        Kind.CONFIG_MAP, world.namespace, "settings", uid=meta["uid"], resource_version=now
    )
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "settings") is None
