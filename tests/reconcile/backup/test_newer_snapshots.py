"""A QdrantSnapshot that a newer release of the operator wrote into is kept, and not acted upon."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.cluster.backups import running_backups
from tests.reconcile.snapshot_world import NAMESPACE, SnapshotWorld

ARCHIVED = {"phase": "Archived"}
KEEPS_FILES = {"retention": {"uid": "uid-1", "decidedAt": "2026-11-21T12:00:00Z", "keepFiles": True}}


@pytest.fixture
def world() -> SnapshotWorld:
    """Noon of 21 November 2026, a formed cluster and an empty bucket."""
    return SnapshotWorld()


def record(world: SnapshotWorld, name: str = "one", **facts: Any) -> None:
    """A newer release writes into status."""
    world.server.put_status(Kind.SNAPSHOT, NAMESPACE, name, {**world.status(name), **facts})


def facts_of(world: SnapshotWorld) -> Manifest:
    """Status without conditions."""
    return {key: value for key, value in world.status().items() if key != "conditions"}


@pytest.mark.parametrize("facts", [ARCHIVED, KEEPS_FILES])
async def test_running_snapshot_with_a_newer_record_is_not_followed(
    world: SnapshotWorld, facts: dict[str, Any]
) -> None:
    """Only its conditions say so."""
    world.add_snapshot()
    await world.start()
    record(world, **facts)
    before = facts_of(world)
    world.clock.pass_by(days=2)
    await world.look()
    assert facts_of(world) == before
    assert world.condition("Ready")[1] == "NewerOperator"
    assert "bring that release back" in world.status()["conditions"][0]["message"]
    assert len(world.jobs()) == 1


async def test_finished_snapshot_with_a_newer_phase_keeps_its_conditions(world: SnapshotWorld) -> None:
    """The newer release does not look at a finished one again, so it would not write them again."""
    world.add_snapshot()
    await world.make()
    record(world, **ARCHIVED)
    before = world.status()
    await world.look()
    assert world.status() == before


async def test_deletion_of_a_newer_snapshot_leaves_the_files(world: SnapshotWorld) -> None:
    """After ten minutes, as whenever files cannot be deleted."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    record(world, **ARCHIVED)
    world.remove(Kind.SNAPSHOT, "one")
    with pytest.raises(Refused, match="Archived"):
        await world.look()
    world.clock.pass_by(minutes=11)
    await world.look()
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.recorder.events[-1] == ("Warning", "FilesLeft")
    assert world.storage.objects


@pytest.mark.parametrize("facts", [ARCHIVED, {"phase": "Complete", **KEEPS_FILES}])
async def test_schedule_neither_counts_nor_touches_a_newer_snapshot(
    world: SnapshotWorld, facts: dict[str, Any]
) -> None:
    """It goes on beside it: an end that it does not understand is an end."""
    name = "nightly-20261122-0200"
    world.add_schedule(retention={"keepLast": 1})
    for _ in range(2):
        world.clock.pass_by(days=1)
        await world.look("nightly", Kind.SCHEDULE)
        world.finish(world.snapshots()[-1], "Verified")
    uid = (world.get(Kind.SNAPSHOT, name) or {})["metadata"]["uid"]
    record(world, name, **facts)
    if "retention" in facts:
        record(world, name, retention={**facts["retention"], "uid": uid})
    before = world.get(Kind.SNAPSHOT, name)
    world.clock.pass_by(days=1)
    await world.look("nightly", Kind.SCHEDULE)
    assert world.get(Kind.SNAPSHOT, name) == before
    assert "nightly-20261124-0200" in world.snapshots()


async def test_run_in_a_newer_phase_counts_as_a_running_backup(world: SnapshotWorld) -> None:
    """Restarts wait for it, as long as for any other."""
    world.add_snapshot()
    record(world, phase="Uploading", startedAt="2026-11-21T11:59:00Z")
    assert running_backups(world.world, NAMESPACE, "vectors") == ("one",)
    record(world, phase="Archived", completedAt="2026-11-21T12:00:00Z")
    assert running_backups(world.world, NAMESPACE, "vectors") == ()
