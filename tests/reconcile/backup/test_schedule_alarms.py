"""A schedule whose backups do not come is not Ready, and says why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.snapshot_world import SnapshotWorld


@pytest.fixture
def world() -> SnapshotWorld:
    """Noon of 21 November 2026, a formed cluster and an empty bucket."""
    return SnapshotWorld()


async def at(world: SnapshotWorld, day: int, hour: int, minute: int = 0) -> None:
    """One pass at this moment of November 2026."""
    world.clock.moment = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    await world.look("nightly", Kind.SCHEDULE)


def ready(world: SnapshotWorld) -> tuple[str, str]:
    """Status and reason of Ready."""
    return world.condition("Ready", "nightly", Kind.SCHEDULE)


def message(world: SnapshotWorld) -> str:
    """Its sentence."""
    conditions = world.status("nightly", Kind.SCHEDULE)["conditions"]
    return str(next(one for one in conditions if one["type"] == "Ready")["message"])


async def test_run_that_hangs_makes_the_schedule_not_ready(world: SnapshotWorld) -> None:
    """The next night passes without a backup: after a quarter of an hour it is said, with the run's name."""
    world.add_schedule()
    await at(world, 22, 2)
    await at(world, 23, 2, 10)
    assert ready(world) == ("True", "Waiting")
    await at(world, 23, 2, 16)
    assert ready(world) == ("False", "DueTimeMissed")
    assert "2026-11-23T02:00:00Z" in message(world)
    assert "nightly-20261122-0200, created at 2026-11-22T02:00:00Z, has not ended" in message(world)
    await at(world, 23, 2, 18)
    assert world.recorder.events.count(("Warning", "DueTimeMissed")) == 1
    world.finish("nightly-20261122-0200", "Verified")
    await at(world, 23, 2, 20)
    assert ready(world) == ("True", "Waiting")
    world.finish("nightly-20261123-0200", "Verified")
    await at(world, 23, 3)
    assert ready(world) == ("True", "Scheduled")


async def test_night_that_was_too_late_is_missed_until_the_next(world: SnapshotWorld) -> None:
    """Seven hours late with a deadline of one: nothing was made, and that is said."""
    world.add_schedule(startingDeadlineSeconds=3600)
    await at(world, 22, 9)
    assert ready(world) == ("False", "DueTimeMissed")
    assert "spec.startingDeadlineSeconds" in message(world)
    await at(world, 23, 2)
    world.finish("nightly-20261123-0200", "Verified")
    await at(world, 23, 3)
    assert ready(world) == ("True", "Scheduled")


async def test_suspended_schedule_misses_nothing(world: SnapshotWorld) -> None:
    """Its user wants no snapshots."""
    world.add_schedule(suspend=True)
    await at(world, 24, 9)
    assert ready(world) == ("True", "Suspended")


async def test_failures_in_a_row_make_the_schedule_not_ready(world: SnapshotWorld) -> None:
    """One may happen; of two the newest is told; a good one ends it."""
    world.add_schedule()
    for day, phase, expected in (
        (22, "Verified", ("True", "Scheduled")),
        (23, "Failed", ("True", "Scheduled")),
        (24, "Failed", ("False", "SnapshotsFailing")),
        (25, "Complete", ("True", "Scheduled")),
    ):
        await at(world, day, 2)
        world.finish(f"nightly-202611{day}-0200", phase)
        await at(world, day, 3)
        assert ready(world) == expected
    assert world.recorder.events.count(("Warning", "SnapshotsFailing")) == 1


async def test_snapshot_that_cannot_be_made_is_said(world: SnapshotWorld) -> None:
    """A quota on objects refuses it: the schedule is not Ready, and makes it when it may."""
    world.add_schedule()
    world.kubernetes.fail_next(Refused("Forbidden", "exceeded quota: objects"), operation="create")
    await at(world, 22, 2)
    assert ready(world) == ("False", "SnapshotNotCreated")
    assert "exceeded quota: objects" in message(world)
    await at(world, 22, 2, 2)
    assert world.snapshots() == ["nightly-20261122-0200"]
    assert ready(world)[0] == "True"


async def test_name_that_is_taken_is_said_and_left_alone(world: SnapshotWorld) -> None:
    """Somebody's own QdrantSnapshot has the name of tonight's."""
    world.add_schedule()
    world.add_snapshot("nightly-20261122-0200")
    await at(world, 22, 2)
    assert ready(world) == ("False", "SnapshotNotCreated")
    assert "was not created by this schedule" in message(world)
    assert "lastScheduleTime" not in world.status("nightly", Kind.SCHEDULE)
