"""Deleting a QdrantSnapshot: which files are deleted with it, and which are kept."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.errors import Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.snapshot_world import SnapshotWorld

FOLDER = "prod/default/vectors/one/"
"""Of every run of this name."""


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


async def test_deleting_a_retained_snapshot_leaves_its_files(world: SnapshotWorld) -> None:
    """Retain is the default: the object goes at once, the backup stays."""
    world.add_snapshot()
    await world.make()
    kept = world.storage.keys(FOLDER)
    world.remove(Kind.SNAPSHOT, "one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.storage.keys(FOLDER) == kept != []


async def test_deleting_a_snapshot_with_delete_removes_its_files_only(world: SnapshotWorld) -> None:
    """Its own folder goes, another backup of the cluster stays."""
    for name in ("one", "two"):
        world.add_snapshot(name, deletionPolicy="Delete")
        await world.make(name)
    await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.storage.keys(FOLDER) == []
    assert f"{world.folder('two')}manifest.json" in world.storage.objects


async def test_deleting_a_running_snapshot_stops_its_job_first(world: SnapshotWorld) -> None:
    """The Job is gone before the files are, so nothing is stored after the clean-up."""
    world.add_snapshot(deletionPolicy="Delete")
    job = await world.start()
    world.put_fragment()
    await world.leave("one")
    stopping = world.get(Kind.JOB, job["metadata"]["name"])
    assert stopping is not None
    assert "deletionTimestamp" in stopping["metadata"]
    assert world.storage.keys(FOLDER) != []
    world.server.collect_garbage()
    await world.look()
    assert (world.storage.keys(FOLDER), world.get(Kind.SNAPSHOT, "one")) == ([], None)


async def test_deletion_is_let_go_when_the_keys_are_gone(world: SnapshotWorld) -> None:
    """As when a namespace is deleted with everything in it: it never hangs, and an Event says what is left."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    world.remove(Kind.SECRET, "keys")
    await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert ("Warning", "FilesLeft") in world.recorder.events


async def test_deletion_waits_ten_minutes_for_the_storage(world: SnapshotWorld) -> None:
    """A storage that is away for a while gets its chance; one that stays away does not hold the object."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    world.storage.failure = Unreachable("no route")
    with pytest.raises(Retryable):
        await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is not None
    world.clock.pass_by(minutes=11)
    await world.look()
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert ("Warning", "FilesLeft") in world.recorder.events


@pytest.mark.parametrize("owner", [None, b"{}", b'{"snapshot_uid": "x", "cluster_uid": "y", "run": "z"}'])
async def test_folder_of_another_owner_is_not_deleted(world: SnapshotWorld, owner: bytes | None) -> None:
    """Deletion asks the folder whose it is: files of another owner, or of none, stay and are named."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    key = f"{world.folder()}owner.json"
    del world.storage.objects[key]
    if owner is not None:
        world.storage.put(key, owner)
    kept = world.storage.keys(FOLDER)
    await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.storage.keys(FOLDER) == kept != []
    assert ("Warning", "FilesLeft") in world.recorder.events


async def test_deletion_that_was_interrupted_is_resumed(world: SnapshotWorld) -> None:
    """The owner goes last: after a crash between manifest and files the rest is still known as this run's."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    del world.storage.objects[f"{world.folder()}manifest.json"]
    await world.leave("one")
    assert (world.storage.keys(FOLDER), world.get(Kind.SNAPSHOT, "one")) == ([], None)
