"""What a QdrantSnapshot waits for before its Job is created, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qdrant_operator.domain.backup.journal import Result, dump_result
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Kind
from tests.reconcile.snapshot_world import NAMESPACE, SnapshotWorld


@pytest.fixture
def world() -> SnapshotWorld:
    """A formed cluster and an empty bucket."""
    return SnapshotWorld()


def no_cluster(world: SnapshotWorld) -> None:
    """There is no cluster."""
    world.remove(Kind.CLUSTER, "vectors")


def no_secret(world: SnapshotWorld) -> None:
    """The bucket's keys are missing."""
    world.remove(Kind.SECRET, "keys")


def half_a_secret(world: SnapshotWorld) -> None:
    """One of the two keys is missing."""
    world.remove(Kind.SECRET, "keys")
    world.add_secret("keys", {"accessKeyId": "a"})


def a_key_that_cannot_be_sent(world: SnapshotWorld) -> None:
    """One of the two keys has two line breaks at its end."""
    world.remove(Kind.SECRET, "keys")
    world.add_secret("keys", {"accessKeyId": "a\n", "secretAccessKey": "s\n\n"})


def no_collection(world: SnapshotWorld) -> None:
    """The cluster is empty."""
    world.collections.names = ()


def storage_says(error: Exception) -> Callable[[SnapshotWorld], None]:
    """The bucket answers so."""

    def wrong(world: SnapshotWorld) -> None:
        world.storage.failure = error

    return wrong


WRONG = [
    (no_cluster, "ClusterNotFound"),
    (no_secret, "SecretNotFound"),
    (half_a_secret, "SecretKeyNotFound"),
    (a_key_that_cannot_be_sent, "SecretValueInvalid"),
    (no_collection, "NothingToSnapshot"),
    (storage_says(Refused("BucketNotFound", "create it")), "BucketNotFound"),
    (storage_says(Refused("CredentialsRefused", "check the keys")), "CredentialsRefused"),
    (storage_says(Unreachable("no route")), "BucketUnreachable"),
]


@pytest.mark.parametrize(("wrong", "reason"), WRONG)
async def test_what_is_missing_is_named_and_no_job_is_made(
    world: SnapshotWorld, wrong: Callable[[SnapshotWorld], None], reason: str
) -> None:
    """Pending with a closed reason and a sentence, told in one Event; Failed when nobody acts for ten minutes."""
    wrong(world)
    world.add_snapshot()
    for _ in range(3):
        await world.look()
    assert (world.status()["phase"], world.condition("Ready")) == ("Pending", ("False", reason))
    assert world.recorder.events == [("Warning", reason)]
    world.clock.pass_by(minutes=11)
    await world.look()
    assert (world.status()["phase"], world.condition("Failed")) == ("Failed", ("True", reason))
    assert world.status()["message"]
    assert world.jobs() == []


async def test_snapshot_starts_when_what_was_missing_is_there(world: SnapshotWorld) -> None:
    """A Secret that is created a little later is soon enough."""
    no_secret(world)
    world.add_snapshot()
    await world.look()
    world.add_secret("keys", {"accessKeyId": "a", "secretAccessKey": "s"})
    await world.make()
    assert world.status()["phase"] == "Verified"


async def test_cluster_that_is_still_forming_is_waited_for(world: SnapshotWorld) -> None:
    """Half an hour of forming is no failure."""
    world.server.put_status(Kind.CLUSTER, NAMESPACE, "vectors", {"bootstrap": {"phase": "Forming"}})
    world.add_snapshot()
    world.clock.pass_by(minutes=30)
    await world.look()
    assert (world.status()["phase"], world.condition("Ready")[1]) == ("Pending", "ClusterNotReady")


async def test_each_reason_has_its_own_patience(world: SnapshotWorld) -> None:
    """Half an hour of forming takes nothing from the ten minutes in which a forgotten Secret can be created."""
    world.server.put_status(Kind.CLUSTER, NAMESPACE, "vectors", {"bootstrap": {"phase": "Forming"}})
    world.add_snapshot()
    await world.look()
    world.clock.pass_by(minutes=30)
    await world.look()
    world.server.put_status(Kind.CLUSTER, NAMESPACE, "vectors", {"bootstrap": {"phase": "Complete"}})
    no_secret(world)
    await world.look()
    world.clock.pass_by(minutes=9)
    await world.look()
    assert (world.status()["phase"], world.condition("Ready")[1]) == ("Pending", "SecretNotFound")
    world.clock.pass_by(minutes=2)
    await world.look()
    assert world.condition("Failed") == ("True", "SecretNotFound")


async def test_reasons_that_take_turns_do_not_wait_for_ever(world: SnapshotWorld) -> None:
    """Each new reason begins its own time; two hours are the end of all."""
    world.add_snapshot()
    for turn in range(30):
        world.storage.failure = Refused("BucketNotFound" if turn % 2 else "CredentialsRefused", "no")
        await world.look()
        world.clock.pass_by(minutes=5)
    assert world.status()["phase"] == "Failed"


async def test_pods_own_identity_needs_no_secret(world: SnapshotWorld) -> None:
    """Without a Secret the operator does not ask the bucket: only the pod's identity counts there."""
    world.storage.failure = Refused("CredentialsRefused", "the operator has no rights there")
    world.add_snapshot(storage={"s3": {"bucket": "backups"}})
    job = await world.start()
    said = dump_result(Result("Verified", "3 shards of 1 collections", bytes=15000, points=3000))
    world.end(job, "Complete", said, exit_code=0)
    await world.look()
    assert (world.status()["phase"], world.status()["bytes"]) == ("Verified", 15000)
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "vectors"


async def test_without_a_secret_the_operator_opens_no_storage(world: SnapshotWorld) -> None:
    """Neither to read a manifest nor to delete: its own cloud identity is nobody else's to use. An Event says so."""
    world.add_snapshot(storage={"s3": {"bucket": "backups"}}, deletionPolicy="Delete")
    job = await world.start()
    world.end(job, "Complete", "log lines instead of a result", exit_code=0)
    await world.look()
    assert world.status()["phase"] == "Complete"
    assert "the pods' own identity" in world.status()["message"]
    await world.leave("one")
    assert world.get(Kind.SNAPSHOT, "one") is None
    assert ("Warning", "FilesLeft") in world.recorder.events


@pytest.mark.parametrize("secret", [True, False])
async def test_endpoint_of_the_operators_own_surroundings_is_refused(
    world: SnapshotWorld, secret: bool
) -> None:
    """A tenant's endpoint at which clouds give out credentials: nothing is sent there, and no Job is made."""
    access = {"credentials": {"secretRef": {"name": "keys"}}} if secret else {}
    s3 = {"bucket": "backups", "endpoint": "http://[::ffff:169.254.169.254]", **access}
    world.add_snapshot(storage={"s3": s3})
    await world.look()
    assert world.condition("Ready") == ("False", "EndpointNotAllowed")
    assert world.jobs() == []
