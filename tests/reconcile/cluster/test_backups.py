"""Backups and the cluster's own changes let each other go first, each for a bounded time."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.cluster.backups import running_backups
from tests.reconcile.snapshot_world import CLUSTER, NAMESPACE, SnapshotWorld


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


def waited_for(world: SnapshotWorld, cluster: str = CLUSTER) -> tuple[str, ...]:
    """What the cluster's loop sees."""
    return running_backups(world.world, NAMESPACE, cluster)


async def test_running_backup_is_seen_for_half_an_hour(world: SnapshotWorld) -> None:
    """From the start of its Job's pod to its end, of this cluster only, and never for longer than the bound."""
    world.add_snapshot()
    assert waited_for(world) == ()
    job = await world.start()
    assert waited_for(world) == (), "its pod does not run yet"
    world.show_pod(job, own={"running": {}})
    await world.look()
    assert (waited_for(world), waited_for(world, "other")) == (("one",), ())
    world.clock.pass_by(minutes=29)
    assert waited_for(world) == ("one",)
    world.clock.pass_by(minutes=2)
    assert waited_for(world) == ()
    await world.run(job)
    await world.look()
    assert world.status()["phase"] == "Verified"
    assert waited_for(world) == ()


@pytest.mark.parametrize("phase", ["Updating", "Scaling"])
async def test_backup_lets_a_roll_go_first_for_ten_minutes(world: SnapshotWorld, phase: str) -> None:
    """Pending with a sentence while pods restart or replicas move; a roll that does not end does not stop backups."""
    status = {"bootstrap": {"phase": "Complete"}, "phase": phase}
    world.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)
    world.add_snapshot()
    await world.look()
    assert (world.jobs(), world.status()["phase"]) == ([], "Pending")
    assert phase in world.status()["message"]
    world.clock.pass_by(minutes=11)
    await world.make()
    assert world.status()["phase"] == "Verified"


async def test_backup_starts_when_the_roll_is_over(world: SnapshotWorld) -> None:
    """At once, not after the bound."""
    status = {"bootstrap": {"phase": "Complete"}, "phase": "Updating"}
    world.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, status)
    world.add_snapshot()
    await world.look()
    world.server.put_status(Kind.CLUSTER, NAMESPACE, CLUSTER, {**status, "phase": "Ready"})
    await world.make()
    assert world.status()["phase"] == "Verified"
