"""What the loop may rely on of Kubernetes: the same facts for the fake and for the real API server."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.kinds import Kind
from tests.contract.kubernetes.worlds import World, cluster, config_map, read, statefulset


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

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "theirs": "x"}


async def test_apply_takes_back_a_field_that_somebody_changed(world: World) -> None:
    """Damage is repaired by force, without a conflict."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"a": "broken"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_a_field_that_we_drop_stays_if_somebody_else_changed_it(world: World) -> None:
    """Who changes the value of a field owns it: our dropping it does not remove it."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"b": "theirs"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "b": "theirs"}


async def test_a_field_that_we_share_stays_when_we_drop_it(world: World) -> None:
    """Where we applied somebody's own value, both own the field: our dropping it leaves theirs."""
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "2"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"b": "theirs"}})
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1", "b": "theirs"}))
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1", "b": "theirs"}


async def test_creating_what_exists_is_refused_and_harmless(world: World) -> None:
    """The second create says AlreadyExists and leaves the first one's content."""
    await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1"}))
    with pytest.raises(Refused) as refused:
        await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "2"}))

    assert refused.value.reason == "AlreadyExists"
    assert "settings" in refused.value.message
    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_create_ignores_a_status(world: World) -> None:
    """Status comes through its subresource only."""
    await world.kubernetes.create({**cluster(world.namespace, "vectors"), "status": {"phase": "Ready"}})

    assert not (await read(world, Kind.CLUSTER, "vectors")).get("status")


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
    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"b": "2", "c": "3"}


async def test_a_patch_of_an_older_version_conflicts(world: World) -> None:
    """With a resourceVersion in the body, a patch happens on that version or not at all."""
    made = await world.kubernetes.create(config_map(world.namespace, "settings", {"a": "1"}))
    await world.edit(Kind.CONFIG_MAP, "settings", {"data": {"a": "theirs"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "ours"}}
    with pytest.raises(Conflict):
        await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "settings", stale)

    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "theirs"}


async def test_an_apply_that_names_a_uid_makes_nothing_again(world: World) -> None:
    """A late write of an operator that acts no more must not bring back what was deleted, or change its successor."""
    made = await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "1"}))
    late = config_map(world.namespace, "settings", {"a": "late"})
    late["metadata"]["uid"] = made["metadata"]["uid"]
    same = await world.kubernetes.apply(late)
    assert same["data"] == {"a": "late"}
    await world.kubernetes.delete(
        Kind.CONFIG_MAP, world.namespace, "settings", uid=str(made["metadata"]["uid"])
    )
    with pytest.raises(Conflict):
        await world.kubernetes.apply(late)
    assert await world.kubernetes.read(Kind.CONFIG_MAP, world.namespace, "settings") is None
    await world.kubernetes.apply(config_map(world.namespace, "settings", {"a": "anew"}))
    with pytest.raises(Conflict):
        await world.kubernetes.apply(late)
    assert (await read(world, Kind.CONFIG_MAP, "settings"))["data"] == {"a": "anew"}


async def test_a_patch_of_what_is_gone_conflicts(world: World) -> None:
    """Gone is a change like another: read again."""
    with pytest.raises(Conflict):
        await world.kubernetes.patch(Kind.CONFIG_MAP, world.namespace, "nothing", {"data": {"a": "1"}})
