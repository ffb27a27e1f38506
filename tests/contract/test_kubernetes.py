"""What the loop may rely on of Kubernetes: the same facts for the fake and for the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qdrant_operator.domain import names
from qdrant_operator.domain.errors import Conflict, Refused
from qdrant_operator.domain.wire import Kind, Manifest
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from tests.contract.kubernetes_worlds import (
    FakeWorld,
    World,
    bound_pod,
    cluster,
    config_map,
    real_world,
    statefulset,
)

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="module")
def with_our_kinds(sandbox: Sandbox) -> Path:
    """Kubeconfig of a cluster that serves our kinds."""
    kubectl(sandbox.kubeconfig, "apply", "--server-side", "-f", str(CRDS))
    kubectl(sandbox.kubeconfig, "wait", "--for=condition=Established", "-f", str(CRDS))
    return sandbox.kubeconfig


@pytest.fixture(params=["fake", "real"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each world in turn."""
    if request.param == "fake":
        yield FakeWorld("default")
        return
    kubeconfig = request.getfixturevalue("with_our_kinds")
    async with real_world(kubeconfig, request.getfixturevalue("namespace")) as real:
        yield real


async def _read(world: World, kind: Kind, name: str) -> Manifest:
    found = await world.kubernetes.read(kind, world.namespace, name)
    assert found is not None
    return found


async def test_apply_makes_an_object_with_uid_version_and_generation(world: World) -> None:
    """The answer of an apply carries what identifies the object from now on."""
    made = await world.kubernetes.apply(statefulset(world.namespace, "vectors", 0))

    assert made["metadata"]["uid"]
    assert int(made["metadata"]["resourceVersion"]) > 0
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["replicas"] == 0


async def test_applying_the_same_again_changes_nothing(world: World) -> None:
    """A repeated apply keeps the resourceVersion, so an idle loop wakes nobody."""
    wanted = config_map(world.namespace, "settings", {"a": "1"})
    first = await world.kubernetes.apply(wanted)
    again = await world.kubernetes.apply(wanted)

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_generation_counts_changes_of_the_spec_only(world: World) -> None:
    """A new label leaves the generation alone; a new spec raises it."""
    wanted = statefulset(world.namespace, "vectors", 0)
    await world.kubernetes.apply(wanted)
    wanted["metadata"]["labels"]["team"] = "search"
    labelled = await world.kubernetes.apply(wanted)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "qdrant/qdrant:v1.19.1"
    changed = await world.kubernetes.apply(wanted)

    assert labelled["metadata"]["generation"] == 1
    assert changed["metadata"]["generation"] == 2


async def test_apply_drops_what_it_no_longer_names_and_keeps_what_others_set(world: World) -> None:
    """Our own former fields go; a stranger's stay."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"theirs": "x"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "theirs": "x"}


async def test_apply_takes_back_a_field_that_somebody_changed(world: World) -> None:
    """Damage is repaired by force, without a conflict."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"a": "broken"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_a_field_that_we_drop_stays_if_somebody_else_changed_it(world: World) -> None:
    """Who changes the value of a field owns it: our dropping it does not remove it."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"b": "theirs"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "b": "theirs"}


async def test_a_field_that_we_share_stays_when_we_drop_it(world: World) -> None:
    """Where we applied somebody's own value, both own the field: our dropping it leaves theirs."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"b": "theirs"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "theirs"}))
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "b": "theirs"}


async def test_creating_what_exists_is_refused_and_harmless(world: World) -> None:
    """The second create says AlreadyExists and leaves the first one's content."""
    await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1"}))
    with pytest.raises(Refused) as refused:
        await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "2"}))

    assert refused.value.reason == "AlreadyExists"
    assert "settings" in refused.value.message
    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_create_ignores_a_status(world: World) -> None:
    """Status comes through its subresource only."""
    await world.kubernetes.create({**cluster(world.namespace, "vectors"), "status": {"phase": "Ready"}})

    assert not (await _read(world, Kind.CLUSTER, "vectors")).get("status")


async def test_what_does_not_exist_reads_as_none(world: World) -> None:
    """Absence is a value, not an error."""
    assert await world.kubernetes.read(Kind.SECRET, world.namespace, "nothing") is None
    assert world.kubernetes.cached_one(Kind.SECRET, world.namespace, "nothing") is None
    assert await world.kubernetes.list(Kind.POD, world.namespace, {"no": "body"}) == ()


async def test_lists_select_by_all_labels_and_sort_by_name(world: World) -> None:
    """Live and cached lists agree, in one order, and items say what they are."""
    for name, labels in (("c", {"x": "1"}), ("a", {"x": "1"}), ("b", {"x": "2"})):
        await world.kubernetes.apply(config_map(world.namespace, name, {}, **labels))
    wanted = {**names.MANAGED, "x": "1"}
    live = await world.kubernetes.list(Kind.CONFIG_MAP, world.namespace, wanted)
    cached = world.kubernetes.cached(Kind.CONFIG_MAP, world.namespace, wanted)

    assert [item["metadata"]["name"] for item in live] == ["a", "c"]
    assert [item["metadata"]["name"] for item in cached] == ["a", "c"]
    assert (live[0]["apiVersion"], live[0]["kind"]) == ("v1", "ConfigMap")


async def test_own_writes_are_in_the_cache_at_once(world: World) -> None:
    """Nobody has to wait for a watch to see what he has just written."""
    wanted = config_map(world.namespace, "settings", {"a": "1"})
    for value in ("1", "2", "3"):
        wanted["data"]["a"] = value
        await world.kubernetes.apply(wanted)
        known = world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings")
        assert known is not None
        assert known["data"] == {"a": value}


async def test_what_others_do_reaches_the_cache(world: World) -> None:
    """The watch brings a stranger's edit; taking our label away makes the object vanish, giving it back return."""
    kubernetes, space = world.kubernetes, world.namespace
    wanted = config_map(space, "settings", {"a": "1"})
    await kubernetes.apply(wanted)

    async def edited() -> bool:
        known = kubernetes.cached_one(Kind.CONFIG_MAP, space, "settings")
        return known is not None and known["data"] == {"a": "2"}

    async def vanished() -> bool:
        return kubernetes.cached_one(Kind.CONFIG_MAP, space, "settings") is None

    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"a": "2"}})
    await world.until(edited)
    await world.edit(Kind.CONFIG_MAP, "settings", {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}})
    await world.until(vanished)
    await kubernetes.apply(wanted)
    assert not await vanished()


async def test_a_merge_patch_sets_and_removes(world: World) -> None:
    """Null removes, the rest stays."""
    await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    body = {"data": {"a": None, "c": "3"}}
    patched = await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "settings", body)

    assert patched["data"] == {"b": "2", "c": "3"}
    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"b": "2", "c": "3"}


async def test_a_patch_of_an_older_version_conflicts(world: World) -> None:
    """With a resourceVersion in the body, a patch happens on that version or not at all."""
    made = await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"a": "theirs"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "ours"}}
    with pytest.raises(Conflict):
        await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "settings", stale)

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "theirs"}


async def test_a_patch_of_what_is_gone_conflicts(world: World) -> None:
    """Gone is a change like another: read again."""
    with pytest.raises(Conflict):
        await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "nothing", {"data": {"a": "1"}})


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
    now = await _read(world, Kind.CLUSTER, "vectors")
    assert now["status"] == second
    assert now["spec"] == made["spec"]
    assert now["metadata"]["generation"] == 1


async def test_status_of_an_older_version_conflicts(world: World) -> None:
    """A status is written on exactly the version it was decided on, whatever the cache knows by then."""
    made = await world.kubernetes.create(cluster(world.namespace, "vectors"))
    await world.edit(Kind.CLUSTER, "vectors", {"metadata": {"labels": {"team": "search"}}})
    with pytest.raises(Conflict):
        await _write_status(world, made, {"phase": "Ready"})

    assert not (await _read(world, Kind.CLUSTER, "vectors")).get("status")


async def test_status_of_an_object_that_was_made_anew_conflicts(world: World) -> None:
    """The successor of the same name never gets its predecessor's status."""
    first = await world.kubernetes.create(cluster(world.namespace, "vectors"))
    await _delete(world, Kind.CLUSTER, first)
    await world.kubernetes.create(cluster(world.namespace, "vectors"))
    with pytest.raises(Conflict):
        await _write_status(world, first, {"phase": "Ready"})

    assert not (await _read(world, Kind.CLUSTER, "vectors")).get("status")


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


async def test_delete_removes_from_server_and_cache_at_once(world: World) -> None:
    """After a delete the cache does not show the object any more, nor does a late event bring it back."""
    made = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await _delete(world, Kind.CONFIG_MAP, made)

    assert world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings") is None
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "settings") is None
    again = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    assert world.kubernetes.cached_one(Kind.CONFIG_MAP, world.namespace, "settings") is not None
    assert again["metadata"]["uid"] != made["metadata"]["uid"]


async def test_delete_spares_an_object_with_another_uid(world: World) -> None:
    """Who deletes names the uid he saw; its successor of the same name lives, and that is success."""
    first = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await _delete(world, Kind.CONFIG_MAP, first)
    second = await world.kubernetes.create(config_map(world.namespace, "settings", {}))
    await _delete(world, Kind.CONFIG_MAP, first)

    assert (await _read(world, Kind.CONFIG_MAP, "settings"))["metadata"]["uid"] == second["metadata"]["uid"]
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
    await _delete(world, Kind.CONFIG_MAP, made)
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
    await _delete(world, Kind.CLUSTER, made)
    held = world.kubernetes.cached_one(Kind.CLUSTER, world.namespace, "vectors")

    assert held is not None
    assert held["metadata"]["generation"] == 2
    await world.kubernetes.patch(Kind.CLUSTER, world.namespace, "vectors", {"metadata": {"finalizers": None}})
    assert await world.kubernetes.read(Kind.CLUSTER, world.namespace, "vectors") is None


async def test_a_running_pod_is_deleted_with_grace(world: World) -> None:
    """The cache shows at once that the pod is going; it is gone when the kubelet says so."""
    made = await world.kubernetes.create(bound_pod(world.namespace, "vectors-0"))
    await _delete(world, Kind.POD, made)
    going = world.kubernetes.cached_one(Kind.POD, world.namespace, "vectors-0")
    assert going is not None
    assert going["metadata"]["deletionTimestamp"]
    await _delete(world, Kind.POD, made)
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
    await _delete(world, Kind.CONFIG_MAP, owner)

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
    await _delete(world, Kind.CONFIG_MAP, owner, foreground=True)

    async def child_goes() -> bool:
        return "deletionTimestamp" in (await _read(world, Kind.CONFIG_MAP, "child"))["metadata"]

    async def owner_gone() -> bool:
        return await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "owner") is None

    await world.until(child_goes)
    assert "deletionTimestamp" in (await _read(world, Kind.CONFIG_MAP, "owner"))["metadata"]
    await world.kubernetes.patch(
        Kind.CONFIG_MAP, world.namespace, "child", {"metadata": {"finalizers": None}}
    )
    await world.until(owner_gone)


async def _delete(world: World, kind: Kind, made: Manifest, *, foreground: bool = False) -> None:
    meta = made["metadata"]
    await world.kubernetes.delete(kind, world.namespace, meta["name"], uid=meta["uid"], foreground=foreground)


def _owned(world: World, name: str, owner: Manifest) -> Manifest:
    manifest = config_map(world.namespace, name, {})
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
    manifest["metadata"]["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    return manifest


async def test_a_statefulset_makes_pods_and_claims_that_the_cache_sees(world: World) -> None:
    """Pods and claims carry our label from the templates, their ordinal's name, and the set's selector."""
    await world.kubernetes.apply(statefulset(world.namespace, "vectors", 2))
    selected = names.peer_selector("vectors")

    async def made() -> bool:
        pods = world.kubernetes.cached(Kind.POD, world.namespace, selected)
        claims = world.kubernetes.cached(Kind.CLAIM, world.namespace, selected)
        return len(pods) == 2 and len(claims) == 2

    await world.until(made)
    pods = world.kubernetes.cached(Kind.POD, world.namespace, selected)
    claims = world.kubernetes.cached(Kind.CLAIM, world.namespace, selected)
    assert [pod["metadata"]["name"] for pod in pods] == ["vectors-0", "vectors-1"]
    assert [claim["metadata"]["name"] for claim in claims] == [names.claim_name("vectors", n) for n in (0, 1)]
    assert {label for label in pods[0]["metadata"]["labels"] if "kubernetes.io" not in label} == {
        names.LABEL_CLUSTER,
        "controller-revision-hash",
    }
    owner = pods[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("StatefulSet", "vectors", True)
    assert pods[0]["spec"]["hostname"] == "vectors-0"
    used = [v for v in pods[0]["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert used[0]["persistentVolumeClaim"]["claimName"] == "storage-vectors-0"


async def test_a_deleted_pod_comes_back_with_the_new_template(world: World) -> None:
    """Under OnDelete a template change touches no pod; deleting one makes it anew, and status counts it."""
    kubernetes, space = world.kubernetes, world.namespace
    wanted = statefulset(space, "vectors", 2)
    await kubernetes.apply(wanted)

    async def status_says(**facts: int) -> bool:
        status = (await _read(world, Kind.STATEFUL_SET, "vectors")).get("status") or {}
        return all(status.get(key, 0) == value for key, value in facts.items())

    await world.until(lambda: status_says(observedGeneration=1, replicas=2, updatedReplicas=2))
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "qdrant/qdrant:v1.19.1"
    await kubernetes.apply(wanted)
    await world.until(lambda: status_says(observedGeneration=2, replicas=2, updatedReplicas=0))
    old = await _read(world, Kind.POD, "vectors-1")
    await _delete(world, Kind.POD, old)
    await world.until(lambda: status_says(replicas=2, updatedReplicas=1))

    new = await _read(world, Kind.POD, "vectors-1")
    assert new["spec"]["containers"][0]["image"] == "qdrant/qdrant:v1.19.1"
    assert (await _read(world, Kind.POD, "vectors-0"))["spec"]["containers"][0]["image"].endswith("v1.19.0")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_claims_of_removed_ordinals_follow_the_retention_policy(world: World, policy: str) -> None:
    """After a scale-down the claim of the removed ordinal stays or goes, as whenScaled says."""
    kubernetes, space = world.kubernetes, world.namespace
    await kubernetes.apply(statefulset(space, "vectors", 2, scaled=policy))

    async def exist(kind: Kind, *wanted: str) -> bool:
        found = await kubernetes.list(kind, space, names.peer_selector("vectors"))
        return tuple(item["metadata"]["name"] for item in found) == wanted

    await world.until(lambda: exist(Kind.POD, "vectors-0", "vectors-1"))
    await kubernetes.apply(statefulset(space, "vectors", 1, scaled=policy))
    await world.until(lambda: exist(Kind.POD, "vectors-0"))
    kept = ("storage-vectors-0", "storage-vectors-1") if policy == "Retain" else ("storage-vectors-0",)
    await world.until(lambda: exist(Kind.CLAIM, *kept))
