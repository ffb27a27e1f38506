"""The laws about backups notice what they are for; a story with backups makes some."""

from __future__ import annotations

import json

import pytest

from qdrant_operator.domain.backup.storage import MANIFEST
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core.disk import Local, Point
from sandbox.qdrant_sim.core.snapshots import take
from sandbox.simulation.faults.backups import EVERY, WHICH
from sandbox.simulation.runs import run_seed
from sandbox.simulation.story import Story
from sandbox.simulation.world.user import NAMESPACE

FOLDER = "default/vectors/one/uid/"
FILE = f"{FOLDER}docs-0"


def sealed(*points: int, policy: str = "Delete") -> tuple[Story, Manifest]:
    """A story with a QdrantSnapshot, whose backup has these points of two that were there before."""
    story = Story(1)
    kind = Kind.SNAPSHOT
    meta = {"name": "one", "namespace": NAMESPACE}
    snapshot = story.server.create(
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": meta,
            "spec": {"deletionPolicy": policy},
        },
        "user",
    )
    story.writer.acknowledged = {("docs", 1): 7, ("docs", 2): 8}
    story.backups.laws.expect(FOLDER, snapshot["metadata"]["uid"])
    rows: dict[int | str, Point] = {one: Point(one, [1.0], {"value": 6 + one}) for one in points}
    content = b"".join(take("a", "now", {0: Local("uuid", dict(rows))}, 0).chunks())
    manifest = {"collections": [{"name": "docs", "shards": [{"file": "docs-0"}]}]}
    story.backups.bucket.put(FILE, content)
    story.backups.bucket.put(f"{FOLDER}{MANIFEST}", json.dumps(manifest).encode())
    return story, snapshot


async def test_a_whole_backup_that_stays_breaks_no_law() -> None:
    """Both points are in it; its bytes are written once more, as they are."""
    story, _ = sealed(1, 2)
    story.backups.bucket.put(FILE, story.backups.bucket.objects[FILE][0])
    assert story.laws.broken == []
    assert story.backups.laws.kept == 1


async def test_a_point_that_was_there_before_must_be_in_it() -> None:
    """The file of a replica that was behind."""
    story, _ = sealed(1)
    assert [one for one in story.laws.broken if "lacks 1 points" in one]


async def test_a_point_that_was_written_meanwhile_may_be_missing() -> None:
    """It has another value when the manifest is written."""
    story, _ = sealed(1, 2)
    story.writer.acknowledged[("docs", 2)] = 9
    story.backups.laws.expect("default/vectors/two/uid/", "uid-2")
    story.writer.acknowledged[("docs", 2)] = 10
    assert story.laws.broken == []


@pytest.mark.parametrize("content", [None, b"others"], ids=["deleted", "changed"])
async def test_bytes_that_go_or_change_are_noticed(content: bytes | None) -> None:
    """Nobody has decided so."""
    story, _ = sealed(1, 2)
    story.backups.bucket.put(FILE, content)
    assert story.laws.broken == [f"a backup's {FILE} is {'changed' if content else 'deleted'}"]


async def test_who_deletes_a_snapshot_with_its_files_has_decided() -> None:
    """The policy is Delete; with Retain the files must stay."""
    story, snapshot = sealed(1, 2)
    story.server.create(
        {
            "apiVersion": Kind.CLUSTER.api_version,
            "kind": Kind.CLUSTER.kind,
            "metadata": {"name": "vectors", "namespace": NAMESPACE},
            "spec": {},
        },
        "user",
    )
    story.backups.laws.user_deletes(snapshot)
    story.backups.bucket.put(FILE, None)
    assert story.laws.broken == []
    story, snapshot = sealed(1, 2, policy="Retain")
    story.backups.laws.user_deletes(snapshot)
    story.backups.bucket.put(FILE, None)
    assert story.laws.broken


async def test_retention_leaves_the_last_good_backup() -> None:
    """The operator deletes the QdrantSnapshot of the only one."""
    story, _ = sealed(1, 2)
    story.backups.laws.before_write(Write("delete", Kind.SNAPSHOT, NAMESPACE, "one"))
    assert story.laws.broken == ["retention deletes one, the last good backup"]


def test_a_story_with_backups_makes_some() -> None:
    """Else its laws would say nothing. In a single one every backup may wait for a roll until it is deleted."""
    runs = [run_seed(EVERY * number + WHICH) for number in (4, 5)]
    assert [run.violation for run in runs] == ["", ""]
    assert all("a backup is sealed" in run.story for run in runs)
