"""Backups while peers are killed, restarted, paused and drained, and an application never stops writing.

The promise: no manifest, ever, whose files lack a point that was acknowledged before the backup began. The files
are put into another server, and every such point is looked for there. Peers are simulated, and real ones too when
QDRANT_BIN names a server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.backup.job_spec import JobSpec, PeerAddress
from qdrant_operator.domain.backup.journal import Result
from qdrant_operator.domain.backup.manifest import BackupManifest
from qdrant_operator.domain.backup.storage import S3Place
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint
from qdrant_operator.domain.qdrant.views import PeerView, ReplicaState
from qdrant_operator.jobs.backup import copy, observe
from qdrant_operator.jobs.backup.run import Run
from qdrant_operator.jobs.backup.verify import read_manifest
from tests.contract.qdrant.clusters import KINDS, Cluster, eventually, form, make, rest, upsert
from tests.fakes.object_storage import FakeStorage

PEERS = 3
SHARDS = 3
BODY = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": SHARDS, "replication_factor": 2}
LONE = {**BODY, "replication_factor": 1}
BATCH = 20
BACKUPS = int(os.environ.get("STORM_BACKUPS", "6"))
PLACE = S3Place("backups", "us-east-1")
SEED = int(os.environ.get("STORM_SEED", "1"))

log = logging.getLogger(__name__)


@dataclass
class Storm:
    """A cluster in trouble, and what its clients were promised."""

    cluster: Cluster
    qdrant: QdrantRest
    dice: random.Random
    acknowledged: set[int] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)
    good: int = 0
    failed: list[str] = field(default_factory=list)
    checked: int = 0

    async def write(self) -> None:
        """An application: new points to any peer that answers; only a 200 is a promise."""
        first = 0
        while True:
            ids = range(first, first := first + BATCH)
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                async with asyncio.timeout(20):
                    if await upsert(self.cluster.endpoint(self.dice.randrange(PEERS)), "docs", ids) == 200:
                        self.acknowledged.update(ids)
            await asyncio.sleep(0.05)

    async def rage(self) -> None:
        """Trouble without end; mostly the next one waits until the last is over, as an operator's roll does."""
        several: list[Callable[[], Awaitable[None]]] = [self._restart, self._stand_still, self._move]
        while True:
            trouble = self.dice.choice(several)
            self.troubles.append(trouble.__name__)
            with suppress(Retryable, Refused, AssertionError):
                await trouble()
                if self.dice.random() < 0.75:
                    await eventually(self._healthy, 15)
            await asyncio.sleep(self.dice.uniform(0.1, 1.0))

    async def _restart(self) -> None:
        """Killed, and after a moment back on its volume."""
        number = self.dice.randrange(PEERS)
        await self.cluster.kill(number)
        await asyncio.sleep(self.dice.uniform(0.0, 2.0))
        # The first peer has nobody to start from; the others know their way from their volumes.
        await self.cluster.start(number)

    async def _stand_still(self) -> None:
        """Neither dead nor alive, for longer than writes wait."""
        number = self.dice.randrange(PEERS)
        self.cluster.running[number].pause()
        await asyncio.sleep(self.dice.uniform(0.5, 12.0))
        self.cluster.running[number].resume()

    async def _move(self) -> None:
        """One replica to the peer that has none of its shard, as a drain does."""
        views = await self._views()
        shard = self.dice.randrange(SHARDS)
        states = next(one.states for one in views[0].collections[0].shards if one.shard == shard)
        target = next(view.peer for view in views if view.peer not in states)
        source = self.dice.choice(
            sorted(peer for peer, state in states.items() if state is ReplicaState.ACTIVE)
        )
        move = {"shard_id": shard, "from_peer_id": source, "to_peer_id": target, "method": "stream_records"}
        await self.qdrant.update_shards(self.cluster.endpoint(0), "docs", {"move_shard": move})

    async def _views(self) -> list[PeerView]:
        return [await self.qdrant.observe(self.cluster.endpoint(number)) for number in range(PEERS)]

    async def _healthy(self) -> bool:
        shards = [one for view in await self._views() for one in view.collections[0].shards]
        return all(set(one.states.values()) == {ReplicaState.ACTIVE} for one in shards)

    async def back_up(self, number: int, scratch: Endpoint) -> None:
        """One backup; when there is a manifest, every point promised before is looked for in its files."""
        promised = sorted(self.acknowledged)
        peers = tuple(PeerAddress(f"vectors-{n}", self.cluster.endpoint(n).url) for n in range(PEERS))
        spec = JobSpec("default", "vectors", "c", f"b{number}", f"u{number}", ("docs",), True, PLACE, peers)
        storage = FakeStorage()
        result: Result = await Run(spec, self.qdrant, storage, None).make()
        if not result.stored:
            assert f"{spec.folder}manifest.json" not in storage.objects
            self.failed.append(f"{result.reason}: {result.message}"[:200])
            return
        manifest = await read_manifest(storage, PLACE, spec.folder)
        await _restore(scratch, f"r{number}", manifest, storage, spec.folder)
        found = await _found(scratch, f"r{number}", promised)
        missing = sorted(set(promised) - found)
        assert not missing, (
            f"backup {number} lacks {len(missing)} of {len(promised)}: {missing[:5]}; {self.troubles}"
        )
        self.good += 1
        self.checked += len(promised)


async def _restore(
    scratch: Endpoint, name: str, manifest: BackupManifest, storage: FakeStorage, folder: str
) -> None:
    """As Qdrant's own documentation does it: an empty collection, then one file for each shard."""
    assert [shard.shard for shard in manifest.collections[0].shards] == list(range(SHARDS))
    status, answer = await rest(scratch, "PUT", f"/collections/{name}", LONE)
    assert status == 200, answer
    for shard in manifest.collections[0].shards:
        content = b"".join([chunk async for chunk in storage.stream(f"{folder}{shard.file}")])
        url = f"{scratch.url}/collections/{name}/shards/{shard.shard}/snapshots/upload?priority=snapshot&wait=true"
        form_data = aiohttp.FormData()
        form_data.add_field("snapshot", content, filename="s.snapshot")
        async with aiohttp.ClientSession() as session, session.post(url, data=form_data) as response:
            assert response.status == 200, await response.text()


async def _found(scratch: Endpoint, name: str, ids: list[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(ids), 2000):
        body = {"ids": ids[start : start + 2000], "with_payload": False, "with_vector": False}
        status, answer = await rest(scratch, "POST", f"/collections/{name}/points", body)
        assert status == 200, answer
        found |= {point["id"] for point in answer["result"]}
    return found


@pytest.fixture(params=KINDS)
async def storm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storm]:
    """Three peers with a collection of three shards and two replicas."""
    cluster, qdrant = make(request.param, tmp_path), QdrantRest(lambda *_: None, consensus_seconds=10)
    try:
        await form(cluster, qdrant, PEERS)
        await qdrant.create_collection(cluster.endpoint(0), "docs", BODY)
        yield Storm(cluster, qdrant, random.Random(SEED))
    finally:
        await qdrant.close()
        await cluster.close()


@pytest.fixture
async def scratch(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Endpoint]:
    """A server of its own, into which backups are restored."""
    kind = request.node.callspec.params["storm"]
    other, qdrant = make(kind, tmp_path / "scratch"), QdrantRest(lambda *_: None)
    try:
        await form(other, qdrant, 1)
        yield other.endpoint(0)
    finally:
        await qdrant.close()
        await other.close()


@pytest.mark.timeout(900)
async def test_no_backup_lacks_a_point_that_was_acknowledged_before(
    storm: Storm, scratch: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to the peers meanwhile. A backup may fail, and then there is none; some must succeed."""
    monkeypatch.setattr(observe, "PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(observe, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(copy, "RETRY_SECONDS", 0.2)
    background = [asyncio.create_task(storm.write()), asyncio.create_task(storm.rage())]
    try:
        for number in range(BACKUPS):
            await asyncio.sleep(storm.dice.uniform(0.0, 2.0))
            await storm.back_up(number, scratch)
    finally:
        for task in background:
            task.cancel()
        await asyncio.wait(background)
    seen = f"{storm.good} whole, {len(storm.failed)} failed, {storm.checked} points, {len(storm.troubles)} troubles"
    log.info("%s; %s", seen, storm.failed)
    assert storm.good >= max(1, BACKUPS // 3), storm.failed
    assert storm.checked > 0
    assert not [task for task in background if not task.cancelled() and task.exception()]
