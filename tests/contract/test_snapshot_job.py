"""The snapshot Job as the process that runs in its pod, against peers on sockets and a real S3 server.

The peers are simulated, and real ones too when QDRANT_BIN names a server.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from qdrant_operator.adapters.object_storage import S3Storage
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.backup.job_spec import (
    JOB_SPEC,
    RESULT_FILE,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    JobSpec,
    PeerAddress,
)
from qdrant_operator.domain.backup.journal import Result, load_result
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.qdrant.views import ShardId
from qdrant_operator.jobs.backup.verify import read_manifest, verify_files
from sandbox.s3 import ObjectStore
from tests.contract.qdrant.clusters import KINDS, Cluster, eventually, form, make, upsert

FOLDER = "default/vectors/{0}/uid-{0}/"
POINTS = 300
ENTRANCE = [sys.executable, "-m", "qdrant_operator", "snapshot", "run"]


class Valve:
    """Lets everything through to a peer but downloads of snapshot files, which stay on their way for ever."""

    def __init__(self, target: str) -> None:
        """In front of the peer that listens on this address."""
        self.reached = asyncio.Event()
        """Set when a download has been asked for."""
        self.url = ""
        self._target = target
        self._pipes: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Cut everything."""
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target, 6333)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pipe = asyncio.create_task(self._pipe(source, sink))
            self._pipes.add(pipe)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(2**16):
                if chunk.startswith(b"GET") and b".snapshot HTTP" in chunk:
                    self.reached.set()
                    continue
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@dataclass
class Site:
    """A cluster with data, a bucket, and Jobs on demand."""

    cluster: Cluster
    qdrant: QdrantRest
    server: ObjectStore
    bucket: str
    folder: Path

    @property
    def place(self) -> S3Place:
        """The bucket."""
        return S3Place(self.bucket, self.server.region, "", self.server.endpoint, "keys")

    @property
    def storage(self) -> S3Storage:
        """What the operator sees of it."""
        return S3Storage(self.place, S3Credentials(self.server.access_key, self.server.secret_key))

    async def start(self, name: str, valves: Sequence[Valve] = ()) -> asyncio.subprocess.Process:
        """The pod's process; valves stand before the peers."""
        urls = [valve.url for valve in valves] or [self.cluster.endpoint(n).url for n in range(3)]
        peers = tuple(PeerAddress(f"vectors-{n}", url) for n, url in enumerate(urls))
        uid = f"uid-{name}"
        spec = JobSpec("default", "vectors", "cluster-uid", name, uid, ("docs",), True, self.place, peers)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            JOB_SPEC: spec.dump(),
            S3_ACCESS_KEY: self.server.access_key,
            S3_SECRET_KEY: self.server.secret_key,
            RESULT_FILE: str(self.folder / name),
        }
        # The simulated peers share our loop: the process must not be waited for in a blocking way.
        return await asyncio.create_subprocess_exec(*ENTRANCE, env=environment)

    async def run(self, name: str) -> tuple[int, Result | None]:
        """A whole Job: exit code and last words."""
        process = await self.start(name)
        code = await asyncio.wait_for(process.wait(), 60)
        return code, self.last_words(name)

    def last_words(self, name: str) -> Result | None:
        """What the kubelet would read."""
        file = self.folder / name
        return load_result(file.read_text()) if file.exists() else None

    async def local_files(self) -> list[str]:
        """Snapshot files of all shards on all peers."""
        found = []
        for number, shard in itertools.product(range(3), range(3)):
            # A peer that does not hold the shard refuses to list its files.
            with suppress(Refused):
                files = await self.qdrant.shard_snapshots(
                    self.cluster.endpoint(number), "docs", ShardId(shard)
                )
                found += [one.name for one in files]
        return found


@pytest.fixture(params=KINDS)
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, object_store: ObjectStore, bucket: str
) -> AsyncIterator[Site]:
    """Three peers, a collection of three shards and two replicas, 300 points."""
    cluster, qdrant = make(request.param, tmp_path / "peers"), QdrantRest(lambda *_: None)
    try:
        await form(cluster, qdrant, 3)
        body = {
            "vectors": {"size": 4, "distance": "Dot"},
            "shard_number": 3,
            "replication_factor": 2,
        }
        await qdrant.create_collection(cluster.endpoint(0), "docs", body)
        await qdrant.update_aliases(
            cluster.endpoint(0), [{"create_alias": {"collection_name": "docs", "alias_name": "live"}}]
        )
        await eventually(lambda: _written(cluster))
        yield Site(cluster, qdrant, object_store, bucket, tmp_path)
    finally:
        await qdrant.close()
        await cluster.close()


async def _written(cluster: Cluster) -> bool:
    return await upsert(cluster.endpoint(0), "docs", range(POINTS)) == 200


async def test_job_makes_a_backup_and_says_so(site: Site) -> None:
    """Exit code 0, a result for the kubelet, a manifest whose files are whole, nothing left on the peers."""
    code, result = await site.run("one")
    assert code == 0
    assert result is not None
    manifest = await read_manifest(site.storage, site.place, FOLDER.format("one"))
    docs = manifest.collections[0]
    assert (result.reason, result.bytes, result.points) == ("Verified", manifest.bytes, POINTS)
    assert ([one.shard for one in docs.shards], docs.aliases) == ([0, 1, 2], ("live",))
    assert docs.config["params"]["vectors"]["size"] == 4
    assert await verify_files(site.storage, FOLDER.format("one"), manifest) == ()
    assert await site.local_files() == []
    assert await site.storage.list("default/vectors/.runs/") == ()


async def test_corrupted_byte_is_found(site: Site) -> None:
    """One byte changed at rest is found, by collection, shard and file."""
    await site.run("one")
    key = FOLDER.format("one") + "docs/shard-1.snapshot"
    content = bytearray(await site.storage.read(key) or b"")
    content[len(content) // 2] ^= 1
    await site.storage.write(key, bytes(content))
    manifest = await read_manifest(site.storage, site.place, FOLDER.format("one"))
    findings = await verify_files(site.storage, FOLDER.format("one"), manifest)
    assert [(one.collection, one.shard, one.file) for one in findings] == [
        ("docs", 1, "docs/shard-1.snapshot")
    ]


@pytest.fixture
async def valves(site: Site) -> AsyncIterator[list[Valve]]:
    """One before each peer."""
    several = [Valve(site.cluster.address(number)) for number in range(3)]
    for valve in several:
        await valve.open()
    yield several
    for valve in several:
        await valve.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_stopped_job_leaves_no_manifest_and_the_next_one_succeeds(
    site: Site, valves: list[Valve], number: signal.Signals
) -> None:
    """Stopped in mid-download: no backup; after SIGTERM also no fragment. The next snapshot is whole."""
    process = await site.start("one", valves)
    reached = [asyncio.create_task(valve.reached.wait()) for valve in valves]
    await asyncio.wait(reached, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    for waiting in reached:
        waiting.cancel()
    assert process.returncode is None
    process.send_signal(number)
    assert await asyncio.wait_for(process.wait(), 60) != 0
    stored = [one.key for one in await site.storage.list(FOLDER.format("one"))]
    assert FOLDER.format("one") + "manifest.json" not in stored
    if number is signal.SIGTERM:
        said = site.last_words("one")
        assert said is not None
        assert (stored, await site.local_files(), said.reason) == ([], [], "Interrupted")
    code, result = await site.run("two")
    assert (code, result and result.reason) == (0, "Verified")
