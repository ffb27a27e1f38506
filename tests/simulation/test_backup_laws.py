"""The laws about backups notice what they are for; a story with backups makes some."""

from __future__ import annotations

import json

import pytest

from qdrant_operator.domain.backup.storage import MANIFEST
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core.disk import Local, Point
from sandbox.qdrant_sim.core.snapshots import take
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.faults.backups import EVERY, WHICH
from sandbox.simulation.laws.backup_laws import BackupLaws
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.runs import run_seed
from sandbox.simulation.world.bucket import Bucket
from sandbox.simulation.world.names import NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

FOLDER = "default/vectors/one/uid/"
FILE = f"{FOLDER}docs-0"


class Backups:
    """A bucket and the laws about it."""

    def __init__(self) -> None:
        """The bucket is empty."""
        world = SimulatedWorld.of(1)
        self.server, self.writer = world.server, Writer(world)
        self.violations, self.bucket = Violations(world.log), Bucket(world.clock.now)
        self.laws = BackupLaws(world, self.bucket, self.writer, self.violations)


def sealed(*points: int, policy: str = "Delete") -> tuple[Backups, Manifest]:
    """A QdrantSnapshot whose backup has these points of two that were there before."""
    backups = Backups()
    kind = Kind.SNAPSHOT
    meta = {"name": "one", "namespace": NAMESPACE}
    snapshot = backups.server.create(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": meta,
            "spec": {"deletionPolicy": policy},
        },
        "user",
    )
    backups.writer.acknowledged = {("docs", 1): 7, ("docs", 2): 8}
    backups.laws.expect(FOLDER, snapshot["metadata"]["uid"])
    rows: dict[int | str, Point] = {one: Point(one, [1.0], {"value": 6 + one}) for one in points}
    content = b"".join(take("a", "now", {0: Local("uuid", dict(rows))}, 0).chunks())
    manifest = {"collections": [{"name": "docs", "shards": [{"file": "docs-0"}]}]}
    backups.bucket.put(FILE, content)
    backups.bucket.put(f"{FOLDER}{MANIFEST}", json.dumps(manifest).encode())
    return backups, snapshot


async def test_a_whole_backup_that_stays_breaks_no_law() -> None:
    """Both points are in it; its bytes are written once more, as they are."""
    backups, _ = sealed(1, 2)
    backups.bucket.put(FILE, backups.bucket.objects[FILE][0])
    assert backups.violations.found == []
    assert backups.laws.kept == 1


async def test_a_point_that_was_there_before_must_be_in_it() -> None:
    """The file of a replica that was behind."""
    backups, _ = sealed(1)
    assert [one for one in backups.violations.found if "lacks 1 points" in one]


async def test_a_point_that_was_written_meanwhile_may_be_missing() -> None:
    """It has another value when the manifest is written."""
    backups, _ = sealed(1, 2)
    backups.writer.acknowledged[("docs", 2)] = 9
    backups.laws.expect("default/vectors/two/uid/", "uid-2")
    backups.writer.acknowledged[("docs", 2)] = 10
    assert backups.violations.found == []


@pytest.mark.parametrize("content", [None, b"others"], ids=["deleted", "changed"])
async def test_bytes_that_go_or_change_are_noticed(content: bytes | None) -> None:
    """Nobody has decided so."""
    backups, _ = sealed(1, 2)
    backups.bucket.put(FILE, content)
    assert backups.violations.found == [f"a backup's {FILE} is {'changed' if content else 'deleted'}"]


async def test_who_deletes_a_snapshot_with_its_files_has_decided() -> None:
    """The policy is Delete; with Retain the files must stay."""
    backups, snapshot = sealed(1, 2)
    backups.server.create(
        {
            "apiVersion": Kind.CLUSTER.api_version,
            "kind": Kind.CLUSTER.kind,
            "metadata": {"name": "vectors", "namespace": NAMESPACE},
            "spec": {},
        },
        "user",
    )
    backups.laws.user_deletes(snapshot)
    backups.bucket.put(FILE, None)
    assert backups.violations.found == []
    backups, snapshot = sealed(1, 2, policy="Retain")
    backups.laws.user_deletes(snapshot)
    backups.bucket.put(FILE, None)
    assert backups.violations.found


async def test_retention_leaves_the_last_good_backup() -> None:
    """The operator deletes the QdrantSnapshot of the only one."""
    backups, _ = sealed(1, 2)
    backups.laws.before_write(Write("delete", Kind.SNAPSHOT, NAMESPACE, "one"))
    assert backups.violations.found == ["retention deletes one, the last good backup"]


def test_a_story_with_backups_makes_some() -> None:
    """Else its laws would say nothing. In a single one every backup may wait for a roll until it is deleted."""
    runs = [run_seed(EVERY * number + WHICH) for number in (4, 5)]
    assert [run.violation for run in runs] == ["", ""]
    assert all("a backup is sealed" in run.story for run in runs)
