"""A replica that is not sound any more gives nothing to a backup, whenever that is seen; another one is taken."""

from __future__ import annotations

import asyncio

import pytest

from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import Result
from qdrant_operator.domain.backup.manifest import load_manifest
from qdrant_operator.domain.backup.storage import S3Place
from qdrant_operator.domain.qdrant.views import ReplicaState
from qdrant_operator.jobs.backup import copy, observe
from qdrant_operator.jobs.backup.run import Run
from tests.fakes.object_storage import FakeStorage
from tests.fakes.shard_peers import FakePeers

PLACE = S3Place("backups", "us-east-1")
PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (0, 2)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses: the faults of these tests do not go away by waiting."""
    monkeypatch.setattr(copy, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(observe, "WATCH_SECONDS", 0.0)


def job_spec() -> JobSpec:
    """Save everything."""
    peers = tuple(PeerAddress(f"vectors-{n}", f"http://vectors-{n}:6333") for n in range(3))
    return JobSpec("default", "vectors", "cluster", "one", "uid-1", ("*",), True, PLACE, peers)


async def make(peers: FakePeers, storage: FakeStorage) -> Result:
    """One run."""
    return await Run(job_spec(), peers, storage, None).make()


def sources(storage: FakeStorage) -> dict[int, str]:
    """Shard → the pod it was taken from, by the manifest."""
    manifest = load_manifest(storage.objects[f"{job_spec().folder}manifest.json"][0], "here")
    return {shard.shard: shard.pod for shard in manifest.collections[0].shards}


async def test_source_that_died_after_planning_is_replaced() -> None:
    """Dead before its turn: nothing is asked of it, the shard comes from its other holder."""
    peers, storage = FakePeers(dict.fromkeys(range(4), (0, 1))), FakeStorage()

    def die(ordinal: int) -> None:
        peers.states |= {(shard, 0): ReplicaState.DEAD for shard in range(4)}

    peers.on_create = die
    assert (await make(peers, storage)).reason == "Verified"
    asked = [made for made in peers.made if made[0] == 0]
    assert len(asked) <= 1
    assert set(sources(storage).values()) == {"vectors-1"}


async def test_source_that_dies_while_its_file_is_made_is_replaced() -> None:
    """The file was made when the replica was Dead already: it is thrown away, also on the peer."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.on_create = lambda ordinal: peers.states.update(
        {(shard, 0): ReplicaState.DEAD for shard in (0, 2)} if ordinal == 0 else {}
    )
    assert (await make(peers, storage)).reason == "Verified"
    assert "vectors-0" not in sources(storage).values()
    assert peers.names() == []


async def test_replica_that_was_dead_for_a_moment_is_seen() -> None:
    """Active before and after its file is made, Dead in between, when a write may have passed it by."""
    peers, storage = FakePeers(PLACEMENT), FakeStorage()
    peers.creating.clear()
    run = asyncio.create_task(make(peers, storage))
    await peers.asked.wait()
    peers.states = {(shard, 0): ReplicaState.DEAD for shard in (0, 2)}
    for _ in range(50):
        await asyncio.sleep(0)
    peers.states = {}
    peers.creating.set()
    assert (await run).reason == "Verified"
    assert len(peers.made) > 3, "the files of the source that was Dead meanwhile are made again"


async def test_peer_that_is_alone_is_no_source() -> None:
    """Two of three do not answer: nobody knows what the third one missed. Its files are no backup."""
    peers, storage = FakePeers(dict.fromkeys(range(3), (0, 1, 2))), FakeStorage()
    peers.down = {1, 2}
    result = await make(peers, storage)
    assert (result.reason, peers.made) == ("ShardNotSound", [])
    assert "1 of 3 peers answer" in result.message


async def test_source_that_never_stays_sound_ends_the_tries() -> None:
    """Every file is followed by a Dead replica: a bounded number of copies, then the reason, and nothing is left."""
    peers, storage = FakePeers({0: (0, 1)}), FakeStorage()

    def die(ordinal: int) -> None:
        peers.states = {(0, ordinal): ReplicaState.DEAD}

    peers.on_create = die
    result = await make(peers, storage)
    assert result.reason == "ShardNotSound"
    assert 1 < len(peers.made) <= 4
    assert (peers.names(), storage.keys(job_spec().folder)) == ([], [])
