"""A spec that an older CRD let through is refused with a sentence that names the field, and what is stored stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.collection.observe import parse_spec
from sandbox.qdrant_sim.host import PeerHost
from tests.reconcile.collection_world import Cluster, town
from tests.reconcile.snapshot_world import SnapshotWorld

UNKNOWN_MODE = {"mode": "Sometimes"}


@pytest.fixture
def world() -> SnapshotWorld:
    """Noon of 21 November 2026, a formed cluster and an empty bucket."""
    return SnapshotWorld()


def message(world: SnapshotWorld, name: str, kind: Kind) -> str:
    """The sentence of Ready."""
    conditions = world.status(name, kind)["conditions"]
    return str(next(one for one in conditions if one["type"] == "Ready")["message"])


async def test_snapshot_with_a_refused_spec_says_so_and_fails_after_ten_minutes(world: SnapshotWorld) -> None:
    """No Job is made for it."""
    world.add_snapshot(verify=UNKNOWN_MODE)
    await world.look()
    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert world.condition("Failed") == ("False", "InvalidSpec")
    assert message(world, "one", Kind.SNAPSHOT).startswith("spec.verify.mode: ")
    await world.look()
    assert world.recorder.events == [("Warning", "InvalidSpec")]
    world.clock.pass_by(minutes=11)
    await world.look()
    assert world.status()["phase"] == "Failed"
    assert world.condition("Failed") == ("True", "InvalidSpec")
    assert world.recorder.events[-1] == ("Warning", "SnapshotFailed")
    assert not world.jobs()


async def test_backup_whose_spec_is_refused_later_stays_a_backup(world: SnapshotWorld) -> None:
    """A stricter release of the operator changes nothing about what is stored."""
    world.add_snapshot()
    await world.make()
    world.change(Kind.SNAPSHOT, "one", verify=UNKNOWN_MODE)
    written = len(world.kubernetes.writes)
    await world.look()
    assert len(world.kubernetes.writes) == written
    assert world.condition("Ready") == ("True", "Verified")


async def test_run_whose_spec_is_refused_is_neither_failed_nor_stopped(world: SnapshotWorld) -> None:
    """The release that began it can still follow it."""
    world.add_snapshot()
    await world.start()
    world.change(Kind.SNAPSHOT, "one", verify=UNKNOWN_MODE)
    world.clock.pass_by(minutes=11)
    await world.look()
    assert (world.status()["phase"], world.condition("Ready")) == ("Running", ("False", "InvalidSpec"))
    assert len(world.jobs()) == 1


async def test_deletion_of_a_snapshot_with_a_refused_spec_leaves_the_files_after_ten_minutes(
    world: SnapshotWorld,
) -> None:
    """It does not hang, and an Event names the files."""
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    world.change(Kind.SNAPSHOT, "one", verify=UNKNOWN_MODE)
    world.remove(Kind.SNAPSHOT, "one")
    with pytest.raises(Refused, match=r"spec\.verify\.mode"):
        await world.look()
    world.clock.pass_by(minutes=11)
    await world.look()
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.recorder.events[-1] == ("Warning", "FilesLeft")
    assert world.storage.objects


async def test_schedule_with_a_refused_spec_says_so_and_makes_nothing(world: SnapshotWorld) -> None:
    """Snapshots that it made before stay."""
    world.add_schedule(concurrencyPolicy="Replace")
    world.clock.pass_by(days=1)
    await world.look("nightly", Kind.SCHEDULE)
    assert world.condition("Ready", "nightly", Kind.SCHEDULE) == ("False", "InvalidSpec")
    assert message(world, "nightly", Kind.SCHEDULE).startswith("spec.concurrencyPolicy: ")
    assert world.snapshots() == []


async def test_schedule_goes_on_beside_a_snapshot_with_a_refused_spec(world: SnapshotWorld) -> None:
    """One object never stops the loop of another one."""
    world.add_schedule(concurrencyPolicy="Allow")
    world.clock.pass_by(days=1)
    await world.look("nightly", Kind.SCHEDULE)
    world.change(Kind.SNAPSHOT, "nightly-20261122-0200", verify=UNKNOWN_MODE)
    world.clock.pass_by(days=1)
    await world.look("nightly", Kind.SCHEDULE)
    assert world.snapshots() == ["nightly-20261122-0200", "nightly-20261123-0200"]


async def test_snapshot_of_a_cluster_with_a_refused_spec_names_the_cluster(world: SnapshotWorld) -> None:
    """The field is not one of the QdrantSnapshot."""
    world.change(Kind.CLUSTER, "vectors", replicas=0)
    world.add_snapshot()
    await world.look()
    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert message(world, "one", Kind.SNAPSHOT).startswith("QdrantCluster 'vectors': spec.replicas: ")


def test_collection_with_a_refused_spec_names_the_field() -> None:
    """In the same words as the other kinds."""
    spec = {"clusterRef": {"name": "vectors"}, "vectors": {"size": 2, "distance": "Dot"}, "shardNumber": 0}
    with pytest.raises(Refused, match=r"spec\.shardNumber: .*; correct it, and upgrade the CRDs") as refused:
        parse_spec({"spec": spec})
    assert refused.value.reason == "InvalidSpec"


async def test_collection_with_a_refused_spec_does_not_outlive_its_cluster(tmp_path: Path) -> None:
    """While the cluster is there, the deletion waits for a correction; without it there is nothing to delete."""
    async with town(Cluster(PeerHost(seed=7), [], tmp_path)) as place:
        place.declare(shardNumber=0, deletionPolicy="Delete")
        finalizers = {"metadata": {"finalizers": [names.FINALIZER]}}
        place.kubernetes.server.patch(Kind.COLLECTION, "default", "docs", finalizers, "test")
        place.delete(Kind.COLLECTION, "docs")
        await place.once()
        assert place.condition("Ready")[1] == "InvalidSpec"
        place.delete(Kind.CLUSTER, "vectors")
        await place.once()
        assert place.object() is None
