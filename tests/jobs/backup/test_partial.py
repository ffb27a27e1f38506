"""One bad collection never costs the others their backup, and is never passed over in silence."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import Result
from qdrant_operator.domain.backup.manifest import BackupManifest
from qdrant_operator.domain.backup.storage import KEY_BYTES, S3Place, shard_file
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.jobs.backup import copy, observe
from qdrant_operator.jobs.backup.run import Run
from qdrant_operator.jobs.backup.verify import read_manifest, report, verify_files
from tests.fakes.object_storage import FakeStorage
from tests.fakes.shard_peers import FakePeers

PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (0, 2)}
TOO_LONG = "知识库" * 20
SAVED = "docs"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses: the faults of these tests do not go away by waiting."""
    monkeypatch.setattr(copy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)


def job_spec(prefix: str = "prod") -> JobSpec:
    """Save everything."""
    place = S3Place("backups", "us-east-1", prefix)
    peers = tuple(PeerAddress(f"vectors-{n}", f"http://vectors-{n}:6333") for n in range(3))
    return JobSpec("default", "vectors", "cluster", "one", "uid-1", ("*",), True, place, peers)


async def make(peers: FakePeers, storage: FakeStorage, spec: JobSpec | None = None) -> Result:
    """One run."""
    return await Run(spec or job_spec(), peers, storage, None).make()


async def manifest(storage: FakeStorage) -> BackupManifest:
    """What the run left, with every file that it lists whole."""
    spec = job_spec()
    read = await read_manifest(storage, spec.place, spec.folder)
    assert await verify_files(storage, spec.folder, read) == ()
    return read


REFUSALS = [
    (Unreachable("500: File name too long (os error 36)"), "Unreachable"),
    (Refused("BadRequest", "Wrong input: no such shard"), "BadRequest"),
]


@pytest.mark.parametrize(("refusal", "reason"), REFUSALS)
async def test_collection_that_qdrant_cannot_save_is_named(refusal: Exception, reason: str) -> None:
    """The rest is kept and verified; the manifest and the result name the missing one and why."""
    peers, storage = FakePeers(PLACEMENT, names=(SAVED, TOO_LONG)), FakeStorage()
    peers.refusal = {TOO_LONG: refusal}
    result = await make(peers, storage)
    left = await manifest(storage)
    assert (result.reason, result.good, result.stored) == ("PartiallyFailed", False, True)
    assert [one.name for one in left.collections] == [SAVED]
    assert [(one.name, one.reason, one.message) for one in left.missing] == [(TOO_LONG, reason, str(refusal))]
    assert TOO_LONG in result.message
    assert result.missing == left.missing
    assert peers.names() == []


async def test_verification_names_what_is_missing() -> None:
    """All files are whole, and still it is not a backup of everything: `snapshot verify` says so."""
    peers, storage = FakePeers(PLACEMENT, names=(SAVED, "bad")), FakeStorage()
    peers.refusal = {"bad": Refused("BadRequest", "File name too long")}
    await make(peers, storage)
    assert report("s3://b/x", await manifest(storage), ()) == [
        "collection 'bad' is not in this backup: BadRequest: File name too long",
        "s3://b/x: 3 files read, 0 damaged",
    ]


async def test_files_of_a_missing_collection_are_not_kept() -> None:
    """One of its shards was saved before another failed for good: the folder holds what the manifest lists."""
    peers, storage = FakePeers(PLACEMENT, names=(SAVED, "rotten")), FakeStorage()
    storage.on_upload = lambda key, content: content[:-1] + b"!" if "rotten/shard-1" in key else content
    result = await make(peers, storage)
    left = await manifest(storage)
    assert (result.reason, [one.reason for one in left.missing]) == ("PartiallyFailed", ["ChecksumMismatch"])
    assert not [key for key in storage.objects if "rotten" in key]


async def test_no_collection_saved_is_no_backup() -> None:
    """Nothing is kept, and the reason is the first one's."""
    peers, storage = FakePeers(PLACEMENT, names=("a", "b")), FakeStorage()
    peers.refusal = {name: Refused("BadRequest", "no") for name in ("a", "b")}
    result = await make(peers, storage)
    assert (result.reason, storage.keys(job_spec().folder)) == ("BadRequest", [])
    assert "none of 2 collections" in result.message


async def test_key_that_s3_does_not_take_is_found_before_anything_is_copied() -> None:
    """A prefix that is too long (an older CRD let it pass) is named; no peer is asked for a file."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    result = await make(peers, storage, job_spec("é" * 500))
    assert (result.reason, peers.made) == ("KeyTooLong", [])


@pytest.mark.parametrize("name", [TOO_LONG, "é" * 127, "x" * 255, "知" * 85])
def test_key_of_a_long_name_fits(name: str) -> None:
    """The longest names that Qdrant takes, quoted, after the longest folder that the API allows."""
    file = shard_file(name, 2**32)
    folder = "p" * 400 + "/" + "n" * 63 + "/" + "c" * 40 + "/" + "s" * 253 + "/" + "u" * 36 + "/"
    assert len(f"{folder}{file}".encode()) <= KEY_BYTES
    assert len(file.split("/")[0]) <= 255


def test_long_names_that_begin_alike_do_not_meet() -> None:
    """What is cut is told apart by a hash."""
    assert shard_file("x" * 230 + "a", 0) != shard_file("x" * 230 + "b", 0)
