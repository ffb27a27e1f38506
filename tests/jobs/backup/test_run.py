"""A run from start to end, whole and broken: what lies in storage and on the peers afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import JournalDocument, LocalFile, Result, dump_journal
from qdrant_operator.domain.backup.manifest import load_manifest
from qdrant_operator.domain.backup.storage import S3Place
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.qdrant.views import ReplicaState
from qdrant_operator.jobs.backup import copy, observe
from qdrant_operator.jobs.backup.run import Run
from qdrant_operator.jobs.backup.verify import read_manifest, verify_files
from tests.fakes.object_storage import FakeStorage
from tests.fakes.shard_peers import FakePeers

PLACE = S3Place("backups", "us-east-1", "prod")
FOLDER = "prod/default/vectors/nightly/uid-1/"
JOURNALS = "prod/default/vectors/.runs/"
PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (0, 2)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses: the faults of these tests do not go away by waiting."""
    monkeypatch.setattr(copy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)


def job_spec(verify: bool = True) -> JobSpec:
    """Save everything of the cluster vectors."""
    peers = tuple(PeerAddress(f"vectors-{n}", f"http://vectors-{n}:6333") for n in range(3))
    return JobSpec("default", "vectors", "cluster-uid", "nightly", "uid-1", ("*",), verify, PLACE, peers)


async def make(peers: FakePeers, storage: FakeStorage, *, verify: bool = True) -> Result:
    """One run."""
    return await Run(job_spec(verify), peers, storage, None).make()


def nothing_left(peers: FakePeers, storage: FakeStorage) -> bool:
    """No file of the run is anywhere."""
    return peers.names() == [] and storage.keys(FOLDER) == []


async def test_backup_holds_every_shard_and_says_what_it_is() -> None:
    """The manifest names each shard with size, sum, points and source; nothing stays on the peers."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    result = await make(peers, storage)
    manifest = load_manifest(storage.objects[f"{FOLDER}manifest.json"][0], "here")
    docs = manifest.collections[0]
    assert (result.reason, result.bytes, result.points) == ("Verified", 15000, 3000)
    assert [storage.objects[f"{FOLDER}{one.file}"][0] for one in docs.shards] == [
        peers.content(n) for n in range(3)
    ]
    assert (docs.aliases, docs.payload_schema, manifest.qdrant_version) == (
        ("live",),
        {"tenant": {}},
        "1.19.0",
    )
    assert (peers.names(), storage.keys(JOURNALS), peers.busiest) == ([], [], 1)


async def test_run_without_verification_is_complete() -> None:
    """Without reading back the backup is Complete, not Verified."""
    assert (await make(FakePeers(PLACEMENT), FakeStorage(), verify=False)).reason == "Complete"


async def test_shard_comes_from_the_peer_that_answers() -> None:
    """With one peer down every shard is taken from its other replica."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.down = {0}
    result = await make(peers, storage)
    manifest = load_manifest(storage.objects[f"{FOLDER}manifest.json"][0], "here")
    assert result.good
    assert {one.pod for one in manifest.collections[0].shards} == {"vectors-1", "vectors-2"}


async def test_collection_with_a_shard_that_is_nowhere_is_not_saved() -> None:
    """Shard 1 has only Dead replicas: there is no backup at all, and it says which shard is missing."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.states = {(1, 1): ReplicaState.DEAD, (1, 2): ReplicaState.DEAD}
    result = await make(peers, storage)
    assert result.reason == "ShardNotSound"
    assert "docs/1" in result.message
    assert nothing_left(peers, storage)


async def test_byte_damaged_on_the_way_once_is_sent_again() -> None:
    """A single bad transfer costs a repetition, not the backup."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.on_chunk = lambda number, chunk: b"!" + chunk[1:] if number == 2 else chunk
    assert (await make(peers, storage)).reason == "Verified"


async def test_bytes_damaged_on_the_way_always_are_found_and_named() -> None:
    """The run fails with collection, shard and file, and leaves nothing behind."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.on_chunk = lambda _, chunk: b"!" + chunk[1:]
    result = await make(peers, storage)
    assert result.reason == "ChecksumMismatch"
    assert "collection 'docs', shard" in result.message
    assert "docs/shard-" in result.message
    assert nothing_left(peers, storage)


async def test_byte_damaged_in_storage_is_found_by_reading_back() -> None:
    """What the disk of the storage made of a file is seen before the manifest is written."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    storage.on_upload = lambda key, content: content[:-1] + b"!" if "shard-1" in key else content
    result = await make(peers, storage)
    assert result.reason == "ChecksumMismatch"
    assert "collection 'docs', shard 1, file docs/shard-1.snapshot" in result.message
    assert nothing_left(peers, storage)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda content: content[:100] + b"!" + content[101:], "SHA-256"),
        (lambda content: content[:-1], "4999 bytes instead of 5000"),
        (lambda content: None, "is missing"),
    ],
)
async def test_damage_at_rest_is_found_later(damage: Callable[[bytes], bytes | None], word: str) -> None:
    """A backup that rots is found by verification, which names collection, shard and file."""
    storage = FakeStorage()
    await make(FakePeers(PLACEMENT), storage)
    key = f"{FOLDER}docs/shard-2.snapshot"
    damaged = damage(storage.objects[key][0])
    storage.put(key, damaged or b"")
    if damaged is None:
        del storage.objects[key]
    findings = await verify_files(storage, FOLDER, await read_manifest(storage, PLACE, FOLDER))
    assert [(one.collection, one.shard, one.file) for one in findings] == [
        ("docs", 2, "docs/shard-2.snapshot")
    ]
    assert word in str(findings[0])


async def test_lost_connection_is_tried_again_and_then_given_up() -> None:
    """A stream that always breaks ends the run without leaving anything."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()

    def cut(number: int, chunk: bytes) -> bytes:
        raise Unreachable("the stream ended early")

    peers.on_chunk = cut
    result = await make(peers, storage)
    assert (result.reason, result.message) == ("Unreachable", "the stream ended early")
    assert nothing_left(peers, storage)


async def stopped(peers: FakePeers, storage: FakeStorage, when: asyncio.Event) -> asyncio.Task[Result]:
    """A run that is told to stop at a moment."""
    run = asyncio.create_task(make(peers, storage))
    await when.wait()
    run.cancel()
    return run


async def test_run_stopped_in_mid_stream_leaves_nothing() -> None:
    """SIGTERM while a file is sent: no manifest, no object, no file on any peer."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.gate.clear()
    run = await stopped(peers, storage, peers.streaming)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert nothing_left(peers, storage)


async def test_run_stopped_while_files_are_made_waits_for_them_and_deletes_them() -> None:
    """Qdrant finishes a file whether anybody listens or not: the run waits and deletes it."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.creating.clear()
    run = await stopped(peers, storage, peers.asked)
    asyncio.get_running_loop().call_soon(peers.creating.set)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert nothing_left(peers, storage)


async def test_run_stopped_at_any_moment_is_a_whole_backup_or_nothing() -> None:
    """Wherever the loop is: no await keeps a SIGTERM to itself, and what is called stopped has left nothing."""
    endings = []
    for turns in itertools.count():
        peers, storage = FakePeers(PLACEMENT), FakeStorage()
        work = asyncio.create_task(make(peers, storage))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not work.cancel():
            break
        await asyncio.wait({work})
        endings.append("stopped" if work.cancelled() else work.result().reason)
        stored = f"{FOLDER}manifest.json" in storage.objects
        assert (peers.names(), stored) == ([], endings[-1] == "Verified"), f"after {turns} turns"
        assert stored or nothing_left(peers, storage), f"after {turns} turns"
    assert endings == sorted(endings, key=["stopped", "Verified"].index)
    assert endings.count("stopped") > 3 * endings.count("Verified") > 0


async def test_folder_that_holds_a_backup_is_not_touched() -> None:
    """A second process of the same run fails and the first backup stays whole."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    await make(peers, storage)
    before = {key: storage.objects[key] for key in storage.keys(FOLDER)}
    result = await make(peers, storage)
    assert result.reason == "LocationOccupied"
    assert {key: storage.objects[key] for key in storage.keys(FOLDER)} == before


def killed(storage: FakeStorage, *, name: str | None, before: tuple[str, ...] = (), age: int = 300) -> str:
    """The journal of a run that was killed some seconds ago while vectors-1 made it a file of shard 1."""
    asked = datetime.now(UTC) - timedelta(seconds=5)
    file = LocalFile("vectors-1", "docs", 1, asked.isoformat(), before, name)
    key = f"{JOURNALS}uid-0.json"
    content = dump_journal(JournalDocument("older", "cluster-uid", "0/3 shards", None, (file,)))
    storage.objects[key] = (content, datetime.now(UTC) - timedelta(seconds=age))
    return key


def stray(peers: FakePeers, seconds: int = 0) -> str:
    """A file on vectors-1, made so many seconds ago."""
    made = datetime.now(UTC) - timedelta(seconds=seconds)
    name = f"docs-shard-1-{made:%Y-%m-%d-%H-%M-%S}.snapshot"
    peers.files[1]["docs", 1, name] = b"stray"
    return name


async def test_file_of_a_killed_run_is_deleted_by_the_next() -> None:
    """Known by its name in the journal; the journal goes too."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    killed(storage, name=stray(peers, seconds=3600))
    await make(peers, storage)
    assert (peers.names(), storage.keys(JOURNALS)) == ([], [])


async def test_file_whose_name_was_never_heard_is_deleted_by_the_next() -> None:
    """The run was killed while Qdrant made the file: it is known by its time, and by not being there before."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    theirs = stray(peers, seconds=7200)
    stray(peers, seconds=5)
    killed(storage, name=None, before=(theirs,))
    await make(peers, storage)
    assert peers.names() == [theirs]


async def test_file_of_somebody_else_stays() -> None:
    """A snapshot that a user took by hand at another time is never taken for a leftover."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    theirs = stray(peers, seconds=7200)
    killed(storage, name=None)
    await make(peers, storage)
    assert peers.names() == [theirs]


async def test_file_of_a_run_that_lives_stays() -> None:
    """A journal that moved a moment ago belongs to a run beside us."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    theirs = stray(peers, seconds=30)
    key = killed(storage, name=theirs, age=10)
    await make(peers, storage)
    assert (peers.names(), storage.keys(JOURNALS)) == ([theirs], [key])


async def test_file_on_a_peer_that_is_down_stays_in_the_journal() -> None:
    """What could not be deleted now is not forgotten."""
    peers, storage = FakePeers({0: (0, 1), 1: (2, 1), 2: (0, 2)}), FakeStorage()
    key = killed(storage, name=stray(peers, seconds=3600))
    peers.down = {1}
    assert (await make(peers, storage)).good
    assert storage.keys(JOURNALS) == [key]


async def test_lost_answer_leaves_a_journal_that_the_next_run_settles() -> None:
    """A file whose making was not heard of is deleted, or owed in the journal until the next run."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()

    def lose(_: int) -> None:
        raise Unreachable("no answer in time")

    peers.on_create = lose
    assert (await make(peers, storage)).reason == "Unreachable"
    peers.on_create = lambda _: None
    for key, (content, written) in list(storage.objects.items()):
        storage.objects[key] = (content, written - timedelta(minutes=5))
    again = Run(JobSpec.load(job_spec().dump().replace("uid-1", "uid-2")), peers, storage, None)
    assert (await again.make()).good
    assert (peers.names(), storage.keys(JOURNALS)) == ([], [])


async def test_refusal_of_the_storage_is_told_as_it_is() -> None:
    """Wrong credentials end the run with the storage's own reason."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    storage.failure = Refused("CredentialsRefused", "check the keys")
    result = await make(peers, storage)
    assert (result.reason, result.message, peers.names()) == ("CredentialsRefused", "check the keys", [])


async def test_failed_run_leaves_its_reason_in_the_journal() -> None:
    """Whoever looks into the bucket finds why there is no backup."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.states = {(1, 1): ReplicaState.DEAD, (1, 2): ReplicaState.DEAD}
    await make(peers, storage)
    journal = json.loads(storage.objects[f"{JOURNALS}uid-1.json"][0])
    assert "docs/1" in journal["error"]


async def test_shard_that_moved_away_settles_its_journal() -> None:
    """A peer that lost the shard neither lists nor deletes its files: the journal does not stay for ever."""
    peers, storage = FakePeers({0: (0, 1), 1: (0, 2), 2: (0, 2)}), FakeStorage()
    killed(storage, name=None)
    assert (await make(peers, storage)).good
    assert storage.keys(JOURNALS) == []
