"""A snapshot's Job that does not start, does not end, or has company in its pod: said in time, and never for ever."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.backup.job_spec import JOB_SPEC, JobSpec
from qdrant_operator.domain.backup.journal import Result, dump_result
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.jobs.backup.run import Run
from sandbox.fakes.kubernetes import Crash, Write
from tests.reconcile.snapshot_world import SnapshotWorld

QUOTA = "Error creating: pods is forbidden: failed quota: team: must specify limits.cpu for: snapshot"
RUNNING: Manifest = {"running": {"startedAt": "2026-11-21T12:00:10Z"}}
PULLING: Manifest = {
    "waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "operator:1"'}
}


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


def ready_message(world: SnapshotWorld) -> str:
    """The sentence of the Ready condition."""
    return str(next(one for one in world.status()["conditions"] if one["type"] == "Ready")["message"])


async def copied(world: SnapshotWorld, job: Manifest) -> str:
    """The run does its work; its last words."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    text = next(one["value"] for one in environment if one["name"] == JOB_SPEC)
    return dump_result(await Run(JobSpec.load(text), world.peers, world.storage, "k").make())


async def test_job_without_pods_is_told_in_its_controllers_words(world: SnapshotWorld) -> None:
    """A quota refuses the pod: the words and the remedy stand in status at once, in one Event."""
    world.add_snapshot()
    world.tell(await world.start(), "FailedCreate", QUOTA)
    for _ in range(3):
        await world.look()
    assert world.condition("Ready") == ("False", "JobNotStarted")
    assert QUOTA in ready_message(world)
    assert "set the resources that it names in spec.job.resources" in ready_message(world)
    assert world.recorder.events.count(("Warning", "JobNotStarted")) == 1


@pytest.mark.parametrize("words", [True, False], ids=["with words", "in silence"])
async def test_job_that_does_not_start_is_ended(world: SnapshotWorld, words: bool) -> None:
    """After a quarter of an hour it is Failed, the Job is gone, and what was known is in the message."""
    world.add_snapshot()
    job = await world.start()
    if words:
        world.tell(job, "FailedCreate", QUOTA)
    world.clock.pass_by(minutes=14)
    await world.look()
    assert world.status()["phase"] == "Running"
    world.clock.pass_by(minutes=2)
    await world.look()
    assert world.condition("Failed") == ("True", "JobNotStarted")
    assert world.jobs() == []
    assert (QUOTA if words else "kubectl describe job") in world.status()["message"]


async def test_image_that_cannot_be_pulled_is_told_in_the_kubelets_words(world: SnapshotWorld) -> None:
    """The pod is there and its container waits; the remedy names the pull secrets."""
    world.add_snapshot()
    world.show_pod(await world.start(), own=PULLING, phase="Pending")
    await world.look()
    assert world.condition("Ready") == ("False", "JobNotStarted")
    assert "ImagePullBackOff" in ready_message(world)
    assert "spec.image.pullSecrets of the QdrantCluster" in ready_message(world)


async def test_late_start_is_a_start(world: SnapshotWorld) -> None:
    """The quota is raised in time: the run goes its way, also when it takes longer than a start may."""
    world.add_snapshot()
    job = await world.start()
    world.tell(job, "FailedCreate", QUOTA)
    world.clock.pass_by(minutes=10)
    await world.look()
    world.show_pod(job, own=RUNNING)
    await world.look()
    assert world.condition("Ready") == ("False", "Running")
    world.clock.pass_by(hours=3)
    await world.look()
    await world.run(job)
    await world.look()
    assert world.status()["phase"] == "Verified"


async def test_run_that_lost_its_pod_is_not_one_that_never_started(world: SnapshotWorld) -> None:
    """The pod is deleted with its node after half an hour: the Job's own end is awaited."""
    world.add_snapshot()
    job = await world.start()
    world.show_pod(job, own=RUNNING)
    await world.look()
    world.clock.pass_by(minutes=30)
    world.remove(Kind.POD, f"{job['metadata']['name']}-abcde")
    await world.look()
    assert world.status()["phase"] == "Running"
    world.end_job(job, "Failed")
    await world.look()
    assert world.condition("Failed") == ("True", "JobFailed")


async def test_operator_without_a_right_to_events_goes_on(world: SnapshotWorld) -> None:
    """Words are a help, not a condition."""
    world.add_snapshot()
    job = await world.start()
    world.kubernetes.fail_next(Refused("Forbidden", "no"), operation="events", times=99)
    await world.look()
    assert world.condition("Ready") == ("False", "Running")
    await world.run(job)
    await world.look()
    assert world.status()["phase"] == "Verified"


async def test_reason_outlives_a_crash_after_the_job_was_deleted(world: SnapshotWorld) -> None:
    """The next operator finds no Job: it was ours to delete, and status says why."""
    world.add_snapshot()
    await world.start()
    world.clock.pass_by(minutes=16)

    def die(write: Write, done: bool) -> None:
        if done and write.operation == "delete":
            raise Crash

    world.kubernetes.on_write = die
    with pytest.raises(Crash):
        await world.look()
    world.kubernetes.on_write = None
    await world.look()
    assert world.condition("Failed") == ("True", "JobNotStarted")


@pytest.mark.parametrize("said", [True, False], ids=["last words", "manifest only"])
async def test_sidecar_that_runs_on_does_not_hold_the_snapshot(world: SnapshotWorld, said: bool) -> None:
    """Our container has ended: the snapshot is over, and the Job with its sidecar is ended too."""
    world.add_snapshot()
    job = await world.start()
    world.show_pod(job, own=RUNNING, beside=RUNNING)
    await world.look()
    words = await copied(world, job)
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "message": words if said else ""}}
    world.show_pod(job, own=done, beside=RUNNING)
    await world.look()
    assert (world.status()["phase"], world.status()["points"]) == ("Verified", 3000)
    assert len(world.jobs()) == 1
    world.clock.pass_by(minutes=2)
    await world.look()
    assert world.jobs() == []


async def test_job_that_ends_by_itself_keeps_its_log(world: SnapshotWorld) -> None:
    """The kubelet reports the container before the Job controller closes the Job: it is not deleted for that."""
    world.add_snapshot()
    job = await world.start()
    world.show_pod(job, own={"terminated": {"exitCode": 1, "reason": "Error", "message": "a traceback"}})
    again = await world.look()
    assert again is not None
    assert again.after <= 60
    assert world.condition("Failed") == ("True", "JobFailed")
    world.end_job(job, "Failed")
    world.clock.pass_by(minutes=2)
    await world.look()
    assert len(world.jobs()) == 1


async def test_end_of_a_sidecar_is_not_the_end_of_the_run(world: SnapshotWorld) -> None:
    """A proxy that ends first says nothing about the backup; a native one is no container of ours either."""
    world.add_snapshot()
    job = await world.start()
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    native = [{"name": "istio-init", "state": RUNNING}]
    world.show_pod(job, own=RUNNING, beside=ended, initContainerStatuses=native)
    await world.look()
    assert world.condition("Ready") == ("False", "Running")
    world.show_pod(job, own={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, beside=ended)
    await world.look()
    assert world.condition("Failed") == ("True", "JobFailed")
    assert "ran out of memory" in world.status()["message"]


async def test_job_that_runs_on_after_a_crash_is_ended(world: SnapshotWorld) -> None:
    """The operator died between status and the deletion of the Job."""
    world.add_snapshot()
    job = await world.start()
    words = await copied(world, job)
    world.show_pod(job, own={"terminated": {"exitCode": 0, "message": words}}, beside=RUNNING)
    await world.look()
    assert world.status()["phase"] == "Verified"
    world.clock.pass_by(minutes=2)
    world.kubernetes.fail_next(Crash(), operation="delete", kind=Kind.JOB)
    with pytest.raises(Crash):
        await world.look()
    await world.look()
    assert world.jobs() == []


async def test_run_beyond_its_deadline_is_failed_with_its_reason(world: SnapshotWorld) -> None:
    """Kubernetes stops it; that it was interrupted is not the cause."""
    world.add_snapshot(job={"activeDeadlineSeconds": 600})
    job = await world.start()
    assert job["spec"]["activeDeadlineSeconds"] == 600
    words = dump_result(Result("Interrupted", "the run was asked to stop"))
    world.show_pod(job, own={"terminated": {"exitCode": 1, "reason": "Error", "message": words}})
    world.end_job(job, "Failed", "DeadlineExceeded")
    await world.look()
    assert world.condition("Failed") == ("True", "DeadlineExceeded")
    assert "spec.job.activeDeadlineSeconds" in world.status()["message"]


async def test_manifest_counts_also_beyond_the_deadline(world: SnapshotWorld) -> None:
    """The sidecar ran on until the deadline and nobody looked: there is a backup."""
    world.add_snapshot()
    job = await world.start()
    await copied(world, job)
    world.end_job(job, "Failed", "DeadlineExceeded")
    await world.look()
    assert world.status()["phase"] == "Verified"


async def test_job_that_its_controller_cannot_end_is_ended(world: SnapshotWorld) -> None:
    """The node is dead, the pod never goes: some minutes after the deadline the snapshot fails without them."""
    world.add_snapshot(job={"activeDeadlineSeconds": 3600})
    job = await world.start()
    world.show_pod(job, own=RUNNING)
    await world.look()
    world.clock.pass_by(minutes=65)
    await world.look()
    assert world.status()["phase"] == "Running"
    world.clock.pass_by(minutes=6)
    await world.look()
    assert world.condition("Failed") == ("True", "DeadlineExceeded")
    world.clock.pass_by(minutes=2)
    await world.look()
    assert world.jobs() == []
