"""The QdrantSnapshotSchedule loop on an API server in memory: CronJob's words, one run for each due time, retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from sandbox.fakes.kubernetes import Crash, FakeKubernetes, Write
from tests.reconcile.snapshot_world import NAMESPACE, SnapshotWorld


@pytest.fixture
def world() -> SnapshotWorld:
    """Noon of 21 November 2026, a formed cluster and an empty bucket."""
    return SnapshotWorld()


async def at(world: SnapshotWorld, day: int, hour: int, minute: int = 0) -> float:
    """The loop looks at this moment of November 2026; gives the pause that it asks for."""
    world.clock.moment = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    again = await world.look("nightly", Kind.SCHEDULE)
    assert again is not None
    return again.after


def finish(world: SnapshotWorld, name: str, phase: str) -> None:
    """A snapshot ends, as its own loop would say."""
    world.finish(name, phase)


async def night(world: SnapshotWorld, day: int, phase: str) -> None:
    """One night's run and how it ended."""
    await at(world, day, 2)
    finish(world, f"nightly-202611{day}-0200", phase)
    await at(world, day, 3)


async def test_snapshot_is_made_when_it_is_due(world: SnapshotWorld) -> None:
    """Not before, then once, named after its time, with everything of the schedule that concerns it."""
    world.add_schedule(collections=["docs", "events-*"], verify={"mode": "None"})
    assert await at(world, 21, 13) <= 120
    assert world.snapshots() == []
    assert world.status("nightly", Kind.SCHEDULE)["nextScheduleTime"] == "2026-11-22T02:00:00Z"
    assert await at(world, 22, 1, 59) == 60
    await at(world, 22, 2)
    await at(world, 22, 2)
    assert world.snapshots() == ["nightly-20261122-0200"]
    made = world.get(Kind.SNAPSHOT, "nightly-20261122-0200") or {}
    assert made["spec"]["collections"] == ["docs", "events-*"]
    assert (made["spec"]["verify"], made["spec"]["deletionPolicy"]) == ({"mode": "None"}, "Retain")
    assert made["status"]["scheduleUid"] == (world.get(Kind.SCHEDULE, "nightly") or {})["metadata"]["uid"]
    status = world.status("nightly", Kind.SCHEDULE)
    assert (status["lastScheduleTime"], status["active"]) == (
        "2026-11-22T02:00:00Z",
        ["nightly-20261122-0200"],
    )


async def test_snapshot_of_a_schedule_becomes_a_backup(world: SnapshotWorld) -> None:
    """The object that a schedule makes is one that the snapshot's own loop carries out."""
    world.add_schedule()
    await at(world, 22, 2)
    await world.make("nightly-20261122-0200")
    await at(world, 22, 3)
    status = world.status("nightly", Kind.SCHEDULE)
    assert (status["kept"], status["active"]) == (1, [])
    assert status["lastSuccessfulTime"]
    assert world.condition("LastSnapshotSucceeded", "nightly", Kind.SCHEDULE)[0] == "True"


async def test_time_zone_decides_when(world: SnapshotWorld) -> None:
    """02:00 in Tokyo is 17:00 UTC of the day before."""
    world.add_schedule(timeZone="Asia/Tokyo")
    await at(world, 21, 16, 59)
    assert world.snapshots() == []
    await at(world, 21, 17)
    assert world.snapshots() == ["nightly-20261121-1700"]


async def test_missed_nights_are_made_up_for_once(world: SnapshotWorld) -> None:
    """An operator that was away for three nights makes the latest of them, and no other."""
    world.add_schedule()
    await at(world, 24, 9)
    await at(world, 24, 10)
    assert world.snapshots() == ["nightly-20261124-0200"]


async def test_deadline_forgets_what_is_too_late(world: SnapshotWorld) -> None:
    """Seven hours late with a deadline of one: the night is skipped."""
    world.add_schedule(startingDeadlineSeconds=3600)
    await at(world, 22, 9)
    assert world.snapshots() == []


async def test_forbid_waits_for_the_running_one(world: SnapshotWorld) -> None:
    """While one runs no other starts; when it ends the one that was held back is made."""
    world.add_schedule(schedule="0 * * * *")
    await at(world, 21, 13)
    await at(world, 21, 14)
    assert world.snapshots() == ["nightly-20261121-1300"]
    assert world.condition("Ready", "nightly", Kind.SCHEDULE) == ("True", "Waiting")
    finish(world, "nightly-20261121-1300", "Verified")
    await at(world, 21, 14, 5)
    assert world.snapshots() == ["nightly-20261121-1300", "nightly-20261121-1400"]


async def test_allow_starts_beside_the_running_one(world: SnapshotWorld) -> None:
    """Allow makes each when it is due."""
    world.add_schedule(schedule="0 * * * *", concurrencyPolicy="Allow")
    await at(world, 21, 13)
    await at(world, 21, 14)
    assert world.snapshots() == ["nightly-20261121-1300", "nightly-20261121-1400"]


async def test_suspended_schedule_makes_nothing(world: SnapshotWorld) -> None:
    """Suspended: no snapshot and no next time; the condition says why."""
    world.add_schedule(suspend=True)
    await at(world, 22, 2)
    assert world.snapshots() == []
    assert "nextScheduleTime" not in world.status("nightly", Kind.SCHEDULE)
    assert world.condition("Ready", "nightly", Kind.SCHEDULE) == ("True", "Suspended")


@pytest.mark.parametrize(
    "wrong", [{"schedule": "61 2 * * *"}, {"schedule": "0 0 31 2 *"}, {"timeZone": "Mars/Olympus"}]
)
async def test_impossible_schedule_is_said_and_nothing_is_touched(
    world: SnapshotWorld, wrong: dict[str, str]
) -> None:
    """Ready is False with a sentence in one Event; snapshots that exist stay as they are."""
    world.add_schedule(retention={"keepLast": 1})
    for day in (22, 23):
        await at(world, day, 2)
        finish(world, f"nightly-202611{day}-0200", "Verified")
    before = world.snapshots()
    world.change(Kind.SCHEDULE, "nightly", **wrong)
    for hour in (3, 4):
        await at(world, 24, hour)
    assert world.condition("Ready", "nightly", Kind.SCHEDULE) == ("False", "InvalidSchedule")
    assert world.snapshots() == before
    assert world.recorder.events.count(("Warning", "InvalidSchedule")) == 1


async def test_retention_counts_good_ones_only(world: SnapshotWorld) -> None:
    """With keepLast 2, failures push nothing out and the files of a pruned one go with it."""
    world.add_schedule(retention={"keepLast": 2})
    for day, phase in ((22, "Verified"), (23, "Failed"), (24, "Complete"), (25, "Failed"), (26, "Verified")):
        await night(world, day, phase)
    assert world.snapshots() == [f"nightly-202611{day}-0200" for day in (23, 24, 25, 26)]
    assert world.status("nightly", Kind.SCHEDULE)["kept"] == 2


async def test_last_good_backup_outlives_any_number_of_failures(world: SnapshotWorld) -> None:
    """Of ten failures in a row the newest three stay, and so does the good one before them."""
    world.add_schedule(retention={"keepLast": 1})
    await night(world, 10 + 12, "Verified")
    for day in range(23, 31):
        await night(world, day, "Failed")
    assert world.snapshots() == [f"nightly-202611{day}-0200" for day in (22, 28, 29, 30)]
    assert world.condition("LastSnapshotSucceeded", "nightly", Kind.SCHEDULE) == ("False", "SnapshotFailed")


async def test_pruned_snapshot_takes_its_files_along(world: SnapshotWorld) -> None:
    """Retention empties the bucket too, with the default deletion policy."""
    world.add_schedule(retention={"keepLast": 1})
    for day in (22, 23):
        await at(world, day, 2)
        await world.make(f"nightly-202611{day}-0200")
    await at(world, 23, 3)
    world.clock.pass_by(seconds=11)
    await world.look("nightly-20261122-0200")
    assert world.snapshots() == ["nightly-20261123-0200"]
    assert world.storage.keys("prod/default/vectors/nightly-20261122-0200/") == []
    assert world.storage.keys("prod/default/vectors/nightly-20261123-0200/") != []


async def test_snapshots_made_by_hand_are_nobodys_to_prune(world: SnapshotWorld) -> None:
    """Only what carries the schedule's label is counted or deleted."""
    world.add_schedule(retention={"keepLast": 1})
    world.add_snapshot("by-hand")
    finish(world, "by-hand", "Verified")
    for day in (22, 23, 24):
        await night(world, day, "Verified")
    assert world.snapshots() == ["by-hand", "nightly-20261124-0200"]


async def test_deleting_a_schedule_leaves_its_backups(world: SnapshotWorld) -> None:
    """No owner reference: garbage collection takes nothing along."""
    world.add_schedule()
    await night(world, 22, "Verified")
    world.remove(Kind.SCHEDULE, "nightly")
    world.server.collect_garbage()
    assert world.snapshots() == ["nightly-20261122-0200"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_operator_killed_at_any_write_makes_one_snapshot(
    world: SnapshotWorld, number: int, after: bool
) -> None:
    """A crash around any write leads to exactly one snapshot for the night."""
    world.add_schedule()
    await at(world, 22, 1)
    seen = 0

    def die(write: Write, done: bool) -> None:
        nonlocal seen
        seen += done is after
        if done is after and seen == number:
            raise Crash

    world.kubernetes.on_write = die
    for minute in range(5):
        try:
            await at(world, 22, 2, minute)
        except Crash:
            world.kubernetes.disconnect()
            world.kubernetes = FakeKubernetes(world.server, now=world.clock.now)
    assert world.snapshots() == ["nightly-20261122-0200"]
    assert world.status("nightly", Kind.SCHEDULE)["lastScheduleTime"] == "2026-11-22T02:00:00Z"


async def test_crash_before_status_is_remembered_by_the_snapshot(world: SnapshotWorld) -> None:
    """Status never heard of the run: the snapshot itself says when it was due, so it is not made again."""
    world.add_schedule()
    await at(world, 22, 2)
    made = world.get(Kind.SNAPSHOT, "nightly-20261122-0200") or {}
    assert made["metadata"]["annotations"][names.ANNOTATION_SCHEDULED_AT] == "2026-11-22T02:00:00Z"
    world.server.put_status(Kind.SCHEDULE, NAMESPACE, "nightly", {})
    finish(world, "nightly-20261122-0200", "Verified")
    await at(world, 22, 3)
    assert world.snapshots() == ["nightly-20261122-0200"]
    assert world.status("nightly", Kind.SCHEDULE)["lastScheduleTime"] == "2026-11-22T02:00:00Z"


async def test_idle_schedule_writes_nothing(world: SnapshotWorld) -> None:
    """Between two due times the loop only looks."""
    world.add_schedule()
    await at(world, 21, 13)
    written = len(world.kubernetes.writes)
    for hour in range(14, 20):
        await at(world, 21, hour)
    assert len(world.kubernetes.writes) == written


async def test_loop_looks_again_when_the_next_is_due(world: SnapshotWorld) -> None:
    """The pause ends at the due time, not up to two minutes after it."""
    world.add_schedule()
    pause = await at(world, 22, 1, 59)
    world.clock.moment += timedelta(seconds=pause)
    await world.look("nightly", Kind.SCHEDULE)
    assert world.snapshots() == ["nightly-20261122-0200"]
