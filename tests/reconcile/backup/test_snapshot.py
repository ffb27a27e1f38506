"""The QdrantSnapshot loop on an API server in memory: the objects in Kubernetes and the files in storage."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.backup.journal import JournalDocument, Result, dump_journal, dump_result
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.qdrant.views import ReplicaState
from qdrant_operator.jobs.backup import observe
from sandbox.fakes.kubernetes import Crash, FakeKubernetes, Write
from tests.reconcile.snapshot_world import SnapshotWorld

FOLDER = "prod/default/vectors/one/"
"""Of every run of this name."""


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


async def test_snapshot_becomes_a_verified_backup(world: SnapshotWorld) -> None:
    """From an object to a manifest in the bucket, one Job, and the sums in status."""
    world.add_snapshot()
    job = await world.start()
    assert (world.status()["phase"], world.condition("Ready")) == ("Running", ("False", "Running"))
    await world.run(job)
    await world.look()
    status = world.status()
    assert status["phase"] == "Verified"
    assert (status["location"], status["bytes"], status["points"]) == (
        f"s3://backups/{world.folder()}",
        15000,
        3000,
    )
    assert status["collections"] == [{"name": "docs", "shards": 3, "points": 3000, "bytes": 15000}]
    assert (world.condition("Ready"), world.condition("Failed")[0]) == (("True", "Verified"), "False")
    assert len(world.jobs()) == 1


async def test_finished_snapshot_is_left_alone(world: SnapshotWorld) -> None:
    """No write ever again, also when its Job is gone."""
    world.add_snapshot()
    await world.make()
    world.remove(Kind.JOB, world.jobs()[0]["metadata"]["name"])
    written = len(world.kubernetes.writes)
    await world.look()
    assert len(world.kubernetes.writes) == written
    assert world.status()["phase"] == "Verified"


async def test_killed_job_leaves_no_manifest_and_is_reported(world: SnapshotWorld) -> None:
    """A run that could say nothing: Failed with a sentence, its fragments gone, and the next one succeeds."""
    world.add_snapshot()
    job = await world.start()
    world.put_fragment()
    world.end(job, "Failed", None, exit_code=137)
    await world.look()
    assert world.condition("Failed") == ("True", "JobFailed")
    assert "137" in world.status()["message"]
    assert world.storage.keys(FOLDER) == []
    world.add_snapshot("two")
    await world.make("two")
    assert world.status("two")["phase"] == "Verified"


async def test_job_without_a_pod_is_reported(world: SnapshotWorld) -> None:
    """A pod that was deleted with its node leaves only the Job's own word."""
    world.add_snapshot()
    world.end_job(await world.start(), "Failed")
    await world.look()
    assert world.condition("Failed") == ("True", "JobFailed")
    assert "backoff limit" in world.status()["message"]


async def test_failure_is_told_in_the_words_of_the_run(
    world: SnapshotWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's reason becomes the condition's."""
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)
    world.add_snapshot()
    world.peers.states = {(1, 1): ReplicaState.DEAD, (1, 2): ReplicaState.DEAD}
    await world.make()
    assert world.condition("Ready") == ("False", "ShardNotSound")
    assert "docs/1" in world.status()["message"]


@pytest.mark.parametrize("words_lost", [False, True])
async def test_partial_backup_is_kept_and_named(
    world: SnapshotWorld, monkeypatch: pytest.MonkeyPatch, words_lost: bool
) -> None:
    """One of two collections cannot be saved: not Ready, and what is missing is in status; its files go with it."""
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)
    world.peers.collections = ("bad", "docs")
    world.peers.refusal = {"bad": Refused("BadRequest", "File name too long")}
    world.add_snapshot(deletionPolicy="Delete")
    job = await world.start()
    await world.run(job)
    if words_lost:
        world.remove(Kind.POD, f"{job['metadata']['name']}-abcde")
    await world.look()
    status = world.status()
    assert (status["phase"], [one["name"] for one in status["collections"]]) == ("PartiallyFailed", ["docs"])
    assert status["missing"] == [{"name": "bad", "reason": "BadRequest", "message": "File name too long"}]
    assert (world.condition("Ready"), world.condition("Failed")) == (
        ("False", "PartiallyFailed"),
        ("True", "PartiallyFailed"),
    )
    assert f"{world.folder()}manifest.json" in world.storage.objects
    await world.leave("one")
    assert (world.storage.keys(FOLDER), world.get(Kind.SNAPSHOT, "one")) == ([], None)


async def test_manifest_in_storage_counts_when_the_pod_is_gone(world: SnapshotWorld) -> None:
    """Killed right after writing the manifest: there is a backup, so the snapshot is good."""
    world.add_snapshot()
    job = await world.start()
    await world.run(job)
    for pod in world.server.all(Kind.POD):
        if pod["metadata"]["name"].startswith("one-"):
            world.remove(Kind.POD, pod["metadata"]["name"])
    world.end_job(job, "Failed")
    await world.look()
    assert (world.status()["phase"], world.status()["points"]) == ("Verified", 3000)


async def test_completed_job_waits_for_a_storage_that_does_not_answer(world: SnapshotWorld) -> None:
    """Whether there is a backup is not guessed: the snapshot stays Running until the storage can say."""
    world.add_snapshot()
    job = await world.start()
    await world.run(job)
    world.remove(Kind.POD, f"{job['metadata']['name']}-abcde")
    world.storage.failure = Unreachable("no route")
    with pytest.raises(Retryable):
        await world.look()
    assert world.status()["phase"] == "Running"
    world.storage.failure = None
    await world.look()
    assert world.status()["phase"] == "Verified"


async def test_deleted_job_fails_the_snapshot_and_is_not_made_again(world: SnapshotWorld) -> None:
    """A snapshot is one attempt."""
    world.add_snapshot()
    job = await world.start()
    world.remove(Kind.JOB, job["metadata"]["name"])
    await world.look()
    await world.look()
    assert world.condition("Failed") == ("True", "JobDeleted")
    assert world.jobs() == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 6))
async def test_operator_killed_at_any_write_makes_one_job(
    world: SnapshotWorld, number: int, after: bool
) -> None:
    """Before or after its n-th write the operator dies; the next one ends with one Job and one backup."""
    world.add_snapshot(deletionPolicy="Delete")
    seen = 0

    def die(write: Write, done: bool) -> None:
        nonlocal seen
        seen += done is after
        if done is after and seen == number:
            raise Crash

    world.kubernetes.on_write = die
    for _ in range(12):
        try:
            await world.look()
        except Crash:
            world.kubernetes.disconnect()
            world.kubernetes = FakeKubernetes(world.server, now=world.clock.now)
        for job in world.jobs():
            if not job.get("status"):
                await world.run(job)
    assert len(world.jobs()) == 1
    assert world.status()["phase"] == "Verified"
    assert f"{world.folder()}manifest.json" in world.storage.keys(FOLDER)


async def test_progress_comes_from_the_runs_journal(world: SnapshotWorld) -> None:
    """What the run wrote last is shown; a storage that is silent for a moment changes nothing."""
    world.add_snapshot()
    world.show_pod(await world.start(), own={"running": {}})
    await world.look()
    uid = (world.get(Kind.SNAPSHOT, "one") or {})["metadata"]["uid"]
    line = "1/3 shards, 2.0/6.0 GiB"
    journal = dump_journal(JournalDocument("one", "cluster-uid", line, None, ()))
    world.storage.put(f"prod/default/vectors/.runs/{uid}.json", journal)
    await world.look()
    assert world.status()["progress"] == line
    world.storage.failure = Unreachable("no route")
    await world.look()
    assert (world.status()["progress"], world.status()["phase"]) == (line, "Running")


async def test_snapshot_made_again_under_its_name_is_another_backup(world: SnapshotWorld) -> None:
    """The first one was retained: the second is made beside it, and deleting it leaves the first."""
    world.add_snapshot()
    await world.make()
    kept = world.storage.keys(FOLDER)
    world.remove(Kind.SNAPSHOT, "one")
    world.server.collect_garbage()
    world.add_snapshot(deletionPolicy="Delete")
    await world.make()
    assert world.status()["phase"] == "Verified"
    assert len(world.storage.keys(FOLDER)) == 2 * len(kept)
    await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert world.storage.keys(FOLDER) == kept


async def test_old_manifest_is_never_taken_for_a_result(world: SnapshotWorld) -> None:
    """Copied into the folder by hand, or by a store that was restored: a run that could say nothing has failed."""
    world.add_snapshot("elder")
    await world.make("elder")
    world.add_snapshot()
    job = await world.start()
    world.put_fragment()
    old = world.storage.objects[f"{world.folder('elder')}manifest.json"][0]
    world.storage.put(f"{world.folder()}manifest.json", old)
    world.end(job, "Failed", None, exit_code=137)
    await world.look()
    assert world.condition("Failed") == ("True", "JobFailed")


async def test_manifest_whose_answer_was_lost_counts(world: SnapshotWorld) -> None:
    """The run heard nothing and reports Unreachable; the storage has the manifest, so there is a backup."""
    world.add_snapshot()
    job = await world.start()
    await world.run(job)
    world.remove(Kind.POD, f"{job['metadata']['name']}-abcde")
    world.end(job, "Failed", dump_result(Result("Unreachable", "no answer in time")))
    await world.look()
    assert world.status()["phase"] == "Verified"
