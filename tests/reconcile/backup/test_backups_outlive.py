"""What may delete the bytes of a backup: retention's own decision, or a user's Delete while the cluster is there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.snapshot_world import CLUSTER, NAMESPACE, SnapshotWorld

PLACE = "prod/default/vectors/"


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


async def backed_up(world: SnapshotWorld, name: str = "one", **spec: str) -> list[str]:
    """A backup made by hand; its keys in the bucket."""
    world.add_snapshot(name, **spec)
    await world.make(name)
    return world.storage.keys(f"{PLACE}{name}/")


async def nights(world: SnapshotWorld, *days: int) -> None:
    """The schedule's nights, each with a real backup."""
    for day in days:
        await schedule_at(world, day, 2)
        await world.make(f"nightly-202611{day}-0200")
        await schedule_at(world, day, 3)


async def schedule_at(world: SnapshotWorld, day: int, hour: int) -> None:
    """One pass of the schedule."""
    world.clock.moment = datetime(2026, 11, day, hour, tzinfo=UTC)
    await world.look("nightly", Kind.SCHEDULE)


def gone(world: SnapshotWorld, name: str) -> bool:
    """The object is."""
    return world.get(Kind.SNAPSHOT, name) is None


async def test_deleted_namespace_takes_no_backup_along(world: SnapshotWorld) -> None:
    """The object is let go in its first pass, and its files stay, although its user wrote Delete."""
    kept = await backed_up(world, deletionPolicy="Delete")
    world.server.terminating_namespaces.add(NAMESPACE)
    world.remove(Kind.SNAPSHOT, "one")
    await world.look()
    assert gone(world, "one")
    assert world.storage.keys(f"{PLACE}one/") == kept != []
    assert ("Warning", "FilesLeft") in world.recorder.events


async def test_terminating_namespace_is_not_held_by_a_storage_that_is_away(world: SnapshotWorld) -> None:
    """Nothing is asked of the bucket before the object is let go."""
    await backed_up(world, deletionPolicy="Delete")
    world.storage.failure = Unreachable("no route")
    world.server.terminating_namespaces.add(NAMESPACE)
    world.remove(Kind.SNAPSHOT, "one")
    await world.look()
    assert gone(world, "one")


@pytest.mark.parametrize("how", ["going", "missing", "another"])
async def test_backup_outlives_its_cluster(world: SnapshotWorld, how: str) -> None:
    """While the QdrantCluster is deleted, when it is gone, and when another one has its name."""
    kept = await backed_up(world, deletionPolicy="Delete")
    if how == "going":
        finalizers = {"metadata": {"finalizers": ["example.com/held"]}}
        world.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, finalizers, "somebody")
    world.remove(Kind.CLUSTER, CLUSTER)
    if how == "another":
        world.add_bare_cluster()
    await world.leave("one")
    assert gone(world, "one")
    assert world.storage.keys(f"{PLACE}one/") == kept != []


async def test_cluster_that_is_deleted_seconds_later_keeps_the_backup(world: SnapshotWorld) -> None:
    """Whoever deletes a folder of manifests deletes the snapshot first and the cluster right after it."""
    kept = await backed_up(world, deletionPolicy="Delete")
    world.remove(Kind.SNAPSHOT, "one")
    await world.look()
    assert not gone(world, "one")
    world.clock.pass_by(seconds=3)
    world.remove(Kind.CLUSTER, CLUSTER)
    world.clock.pass_by(seconds=10)
    await world.look()
    assert gone(world, "one")
    assert world.storage.keys(f"{PLACE}one/") == kept != []


async def test_cluster_is_asked_for_live(world: SnapshotWorld) -> None:
    """A cache that lags behind still shows the cluster."""
    kept = await backed_up(world, deletionPolicy="Delete")
    world.remove(Kind.SNAPSHOT, "one")
    world.kubernetes.lag()
    world.remove(Kind.CLUSTER, CLUSTER)
    world.clock.pass_by(seconds=11)
    await world.look()
    assert world.storage.keys(f"{PLACE}one/") == kept != []


async def test_what_cannot_be_known_deletes_nothing(world: SnapshotWorld) -> None:
    """Without an answer about the namespace the files stay; after ten minutes the object goes without them."""
    kept = await backed_up(world, deletionPolicy="Delete")
    world.remove(Kind.SNAPSHOT, "one")
    world.clock.pass_by(seconds=11)
    world.kubernetes.fail_next(Refused("Forbidden", "no"), operation="read", kind=Kind.NAMESPACE)
    with pytest.raises(Refused):
        await world.look()
    world.clock.pass_by(minutes=11)
    world.kubernetes.fail_next(Unreachable("slow"), operation="read", kind=Kind.NAMESPACE)
    await world.look()
    assert gone(world, "one")
    assert world.storage.keys(f"{PLACE}one/") == kept != []


async def test_deleting_a_snapshot_of_a_schedule_leaves_its_files(world: SnapshotWorld) -> None:
    """The schedule's policy is about retention; deleting the object by hand, or with kubectl delete --all, is not."""
    world.add_schedule(retention={"keepLast": 5}, deletionPolicy="Delete")
    await nights(world, 22)
    kept = world.storage.keys(f"{PLACE}nightly-20261122-0200/")
    await world.leave("nightly-20261122-0200")
    assert gone(world, "nightly-20261122-0200")
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") == kept != []


async def test_user_may_write_delete_on_a_snapshot_of_a_schedule(world: SnapshotWorld) -> None:
    """Then it is the user's own decision about this very object."""
    world.add_schedule()
    await nights(world, 22)
    world.change(Kind.SNAPSHOT, "nightly-20261122-0200", deletionPolicy="Delete")
    await world.look("nightly-20261122-0200")
    await world.leave("nightly-20261122-0200")
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") == []


async def test_delete_that_an_earlier_release_copied_counts_for_nothing(world: SnapshotWorld) -> None:
    """Its schedules wrote their own policy on each snapshot, and a finalizer came with it."""
    kept = await backed_up(world, deletionPolicy="Delete")
    note = {"metadata": {"annotations": {names.ANNOTATION_SCHEDULED_AT: "2026-11-22T02:00:00Z"}}}
    world.server.patch(Kind.SNAPSHOT, NAMESPACE, "one", note, "operator")
    await world.look()
    assert not ((world.get(Kind.SNAPSHOT, "one") or {})["metadata"]).get("finalizers")
    await world.leave("one")
    assert world.storage.keys(f"{PLACE}one/") == kept != []


async def test_retention_takes_the_files_of_its_own_cluster_along(world: SnapshotWorld) -> None:
    """The decision is in status before the deletion, bound to the object's uid."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22, 23)
    doomed = world.get(Kind.SNAPSHOT, "nightly-20261122-0200") or {}
    assert doomed["status"]["retention"]["uid"] == doomed["metadata"]["uid"]
    world.clock.pass_by(seconds=11)
    await world.look("nightly-20261122-0200")
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") == []
    assert world.storage.keys(f"{PLACE}nightly-20261123-0200/") != []


async def test_retained_files_stay_when_their_snapshot_is_pruned(world: SnapshotWorld) -> None:
    """With deletionPolicy Retain retention deletes objects only."""
    world.add_schedule(retention={"keepLast": 1}, deletionPolicy="Retain")
    await nights(world, 22, 23)
    assert world.snapshots() == ["nightly-20261123-0200"]
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") != []


async def test_retention_that_is_overtaken_keeps_the_last_backup(world: SnapshotWorld) -> None:
    """The newer one is deleted by hand before the older one's files are: the older one is the last there is."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22, 23)
    world.remove(Kind.SNAPSHOT, "nightly-20261123-0200")
    world.clock.pass_by(seconds=11)
    await world.look("nightly-20261122-0200")
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") != []


async def test_wider_retention_takes_its_decision_back(world: SnapshotWorld) -> None:
    """A crash between the decision and the deletion, and a user who keeps more by then."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22)
    world.kubernetes.fail_next(Unreachable("lost"), operation="delete", kind=Kind.SNAPSHOT, times=2)
    with pytest.raises(Retryable):
        await nights(world, 23)
    assert "retention" in world.status("nightly-20261122-0200")
    world.change(Kind.SCHEDULE, "nightly", retention={"keepLast": 2})
    await schedule_at(world, 23, 4)
    await world.look("nightly-20261122-0200")
    assert "retention" not in world.status("nightly-20261122-0200")
    await world.leave("nightly-20261122-0200")
    assert world.storage.keys(f"{PLACE}nightly-20261122-0200/") != []


async def test_copied_labels_make_no_snapshot_of_a_schedule(world: SnapshotWorld) -> None:
    """One made by hand from the YAML of a schedule's snapshot is neither counted, nor waited for, nor pruned."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22)
    model = (world.get(Kind.SNAPSHOT, "nightly-20261122-0200") or {})["metadata"]
    world.add_snapshot("copy", deletionPolicy="Delete")
    copied = {"labels": model["labels"], "annotations": model["annotations"]}
    world.server.patch(Kind.SNAPSHOT, NAMESPACE, "copy", {"metadata": copied}, "kubectl")
    await world.make("copy")
    await nights(world, 23, 24)
    assert world.snapshots() == ["copy", "nightly-20261124-0200"]
    assert world.storage.keys(f"{PLACE}copy/") != []


async def test_schedule_that_is_made_again_leaves_what_the_first_one_made(world: SnapshotWorld) -> None:
    """The second one has the first one's name and no right to its backups."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22)
    world.remove(Kind.SCHEDULE, "nightly")
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 23)
    assert world.snapshots() == ["nightly-20261122-0200", "nightly-20261123-0200"]


async def test_backups_of_an_earlier_cluster_are_not_pruned(world: SnapshotWorld) -> None:
    """The QdrantCluster is made again under its name: the first one's last backup is all that is left of it."""
    world.add_schedule(retention={"keepLast": 1})
    await nights(world, 22)
    world.remove(Kind.CLUSTER, CLUSTER)
    await schedule_at(world, 22, 4)
    world.add_bare_cluster()
    for day in (23, 24):
        await schedule_at(world, day, 2)
        world.finish(f"nightly-202611{day}-0200", "Verified")
        await schedule_at(world, day, 3)
    assert world.snapshots() == ["nightly-20261122-0200", "nightly-20261124-0200"]


@pytest.mark.parametrize("going", [False, True])
async def test_nothing_good_is_pruned_without_a_cluster(world: SnapshotWorld, going: bool) -> None:
    """Missing or being deleted: a schedule that lives on, and a lower keepLast, delete no backup."""
    world.add_schedule(retention={"keepLast": 3})
    await nights(world, 22, 23)
    if going:
        finalizers = {"metadata": {"finalizers": ["example.com/held"]}}
        world.server.patch(Kind.CLUSTER, NAMESPACE, CLUSTER, finalizers, "somebody")
    world.remove(Kind.CLUSTER, CLUSTER)
    world.change(Kind.SCHEDULE, "nightly", retention={"keepLast": 1})
    await schedule_at(world, 23, 5)
    assert world.snapshots() == ["nightly-20261122-0200", "nightly-20261123-0200"]


async def test_crash_before_the_claim_is_made_up_for(world: SnapshotWorld) -> None:
    """The object was made and its status never heard of the schedule: name and annotations say whose it is."""
    world.add_schedule()
    world.kubernetes.fail_next(Unreachable("lost"), operation="patch_status", kind=Kind.SNAPSHOT)
    with pytest.raises(Retryable):
        await schedule_at(world, 22, 2)
    await schedule_at(world, 22, 2)
    schedule = world.get(Kind.SCHEDULE, "nightly") or {}
    assert world.status("nightly-20261122-0200")["scheduleUid"] == schedule["metadata"]["uid"]
