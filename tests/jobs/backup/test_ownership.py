"""Runs that meet in one bucket: whatever they do to each other's names, each touches only what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import JournalDocument, LocalFile, dump_journal
from qdrant_operator.domain.backup.manifest import load_manifest
from qdrant_operator.domain.backup.storage import S3Place
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.jobs.backup import observe
from qdrant_operator.jobs.backup.run import Run
from qdrant_operator.jobs.backup.verify import read_manifest, verify_files
from tests.fakes.object_storage import FakeStorage
from tests.fakes.shard_peers import FakePeers

PLACE = S3Place("backups", "us-east-1", "prod")
PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (0, 2)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses: the faults of these tests do not go away by waiting."""
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)


def job_spec(uid: str, cluster_uid: str, *, verify: bool = True) -> JobSpec:
    """The same namespace, cluster and name, whoever asks."""
    peers = tuple(PeerAddress(f"vectors-{n}", f"http://vectors-{n}:6333") for n in range(3))
    return JobSpec("default", "vectors", cluster_uid, "nightly", uid, ("*",), verify, PLACE, peers)


async def damage(storage: FakeStorage, spec: JobSpec) -> tuple[object, ...]:
    """What is wrong with a run's backup."""
    manifest = await read_manifest(storage, PLACE, spec.folder)
    return await verify_files(storage, spec.folder, manifest)


def held_back(peers: FakePeers) -> None:
    """Downloads from these peers wait."""
    peers.gate.clear()


@pytest.mark.parametrize("verify", [True, False])
async def test_clusters_of_the_same_names_share_a_bucket(verify: bool) -> None:
    """Two Kubernetes clusters from the same Git, one bucket, the same minute: both backups are whole."""
    storage, ours, theirs = FakeStorage(), FakePeers(PLACEMENT), FakePeers(PLACEMENT, size=6000)
    first, second = (
        job_spec("uid-a", "prod", verify=verify),
        job_spec("uid-b", "staging", verify=verify),
    )
    held_back(theirs)
    late = asyncio.create_task(Run(second, theirs, storage, None).make())
    await theirs.streaming.wait()
    assert (await Run(first, ours, storage, None).make()).good
    theirs.gate.set()
    assert (await late).good
    assert (await damage(storage, first), await damage(storage, second)) == ((), ())


async def test_run_that_fails_beside_a_backup_of_the_same_name_leaves_it_whole() -> None:
    """The second one reaches no peer: it cleans up only what it made."""
    storage, none = FakeStorage(), FakePeers(PLACEMENT)
    none.down = {0, 1, 2}
    first = job_spec("uid-a", "prod", verify=False)
    assert (await Run(first, FakePeers(PLACEMENT), storage, None).make()).good
    failed = await Run(job_spec("uid-b", "staging", verify=False), none, storage, None).make()
    assert failed.reason == "Unreachable"
    assert await damage(storage, first) == ()


async def test_stopped_run_leaves_its_successor_alone() -> None:
    """Deleted and made again under its name while Qdrant still makes a file: the late clean-up hits nothing."""
    storage, old, new = FakeStorage(), FakePeers(PLACEMENT), FakePeers(PLACEMENT)
    old.creating.clear()
    stopped = asyncio.create_task(Run(job_spec("uid-a", "prod"), old, storage, None).make())
    await old.asked.wait()
    stopped.cancel()
    held_back(new)
    successor = asyncio.create_task(Run(job_spec("uid-b", "prod"), new, storage, None).make())
    await new.streaming.wait()
    old.creating.set()
    await asyncio.wait({stopped})
    new.gate.set()
    assert (await successor).reason == "Verified"
    assert await damage(storage, job_spec("uid-b", "prod")) == ()


async def test_second_process_of_a_run_gives_way() -> None:
    """A pod that is started twice: the one that comes second touches neither files nor journal of the first."""
    storage, peers = FakeStorage(), FakePeers(PLACEMENT)
    spec = job_spec("uid-a", "prod")
    held_back(peers)
    first = asyncio.create_task(Run(spec, peers, storage, None).make())
    await peers.streaming.wait()
    before = dict(storage.objects)
    second = await Run(spec, FakePeers(PLACEMENT), storage, None).make()
    assert (second.reason, storage.objects) == ("LocationOccupied", before)
    peers.gate.set()
    assert (await first).reason == "Verified"


async def test_run_whose_folder_was_taken_over_writes_no_manifest() -> None:
    """A store that ignores if-none-match lets another run in: whoever is no longer the owner seals nothing."""
    storage, peers = FakeStorage(), FakePeers(PLACEMENT)
    spec = job_spec("uid-a", "prod")
    held_back(peers)
    first = asyncio.create_task(Run(spec, peers, storage, None).make())
    await peers.streaming.wait()
    storage.put(f"{spec.folder}owner.json", b'{"snapshot_uid": "uid-a", "cluster_uid": "prod", "run": "x"}')
    peers.gate.set()
    assert (await first).reason == "LocationOccupied"
    assert f"{spec.folder}manifest.json" not in storage.objects
    assert storage.keys(f"{spec.folder}docs/") != []


class Forgetful(FakeStorage):
    """Stores a new object, loses the answer, and refuses the repetition of the request."""

    async def write_new(self, key: str, content: bytes) -> None:
        """As an S3 client that repeats a PUT after a lost answer sees it."""
        await super().write_new(key, content)
        raise Refused("AlreadyExists", f"{key} exists already")


async def test_repeated_request_meets_its_own_object() -> None:
    """Owner and manifest that are ours already are ours."""
    storage = Forgetful()
    spec = job_spec("uid-a", "prod")
    assert (await Run(spec, FakePeers(PLACEMENT), storage, None).make()).reason == "Verified"
    assert await damage(storage, spec) == ()


class Mute(FakeStorage):
    """Stores a manifest and never answers."""

    async def write_new(self, key: str, content: bytes) -> None:
        """The answer to the manifest is lost."""
        await super().write_new(key, content)
        if key.endswith("manifest.json"):
            raise Unreachable("no answer in time")


async def test_files_stay_while_it_is_unknown_whether_the_manifest_arrived() -> None:
    """A time-out is no failure: a manifest that arrived late must not point to files that were deleted."""
    storage = Mute()
    spec = job_spec("uid-a", "prod")
    assert (await Run(spec, FakePeers(PLACEMENT), storage, None).make()).reason == "Unreachable"
    assert await damage(storage, spec) == ()


async def test_manifest_names_the_run() -> None:
    """The uids of the QdrantSnapshot and of the QdrantCluster, and the same run as the owner object."""
    storage = FakeStorage()
    spec = job_spec("uid-a", "prod")
    await Run(spec, FakePeers(PLACEMENT), storage, None).make()
    owner = load_manifest(storage.objects[f"{spec.folder}manifest.json"][0], "here").owner
    assert (owner.snapshot_uid, owner.cluster_uid) == ("uid-a", "prod")
    assert owner.run.encode() in storage.objects[f"{spec.folder}owner.json"][0]


async def test_journal_of_another_cluster_is_left_alone() -> None:
    """A dead run of a cluster of the same name elsewhere: its files are not on our peers, its journal stays."""
    storage, peers = FakeStorage(), FakePeers(PLACEMENT)
    made = datetime.now(UTC) - timedelta(minutes=1)
    name = f"docs-shard-1-{made:%Y-%m-%d-%H-%M-%S}.snapshot"
    peers.files[1]["docs", 1, name] = b"a user's own"
    file = LocalFile("vectors-1", "docs", 1, made.isoformat(), (), name)
    key = "prod/default/vectors/.runs/uid-z.json"
    content = dump_journal(JournalDocument("nightly", "staging", "0/3 shards", None, (file,)))
    storage.objects[key] = (content, datetime.now(UTC) - timedelta(minutes=5))
    assert (await Run(job_spec("uid-a", "prod"), peers, storage, None).make()).good
    assert (peers.names(), key in storage.objects) == ([name], True)


async def test_owner_is_written_first_and_the_manifest_last() -> None:
    """Nothing is stored before the claim: the first object of a run is its owner."""
    order: list[str] = []

    class Watched(FakeStorage):
        async def write_new(self, key: str, content: bytes) -> None:
            order.append(key)
            await super().write_new(key, content)

        async def write(self, key: str, content: bytes) -> None:
            order.append(key)
            await super().write(key, content)

        async def upload(self, key: str, chunks: AsyncIterator[bytes], part_bytes: int) -> None:
            order.append(key)
            await super().upload(key, chunks, part_bytes)

    spec = job_spec("uid-a", "prod")
    assert (await Run(spec, FakePeers(PLACEMENT), Watched(), None).make()).good
    assert (order[0], order[-1]) == (f"{spec.folder}owner.json", f"{spec.folder}manifest.json")
