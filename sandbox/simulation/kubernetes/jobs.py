"""Runs the Jobs of snapshots: the real data path over simulated peers, with kills and retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from urllib.parse import urlsplit

from qdrant_operator.domain.backup.job_spec import JOB_SPEC, JobSpec
from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Kind, Manifest
from qdrant_operator.domain.qdrant.views import ShardId
from qdrant_operator.jobs.backup.run import Run
from sandbox.fakes.kubernetes import Crash
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.simulation.world.bucket import Bucket, Door
from sandbox.simulation.world.names import NAMESPACE
from sandbox.simulation.world.network import Line, SimulatedHttp, SimulatedQdrant, Weather
from sandbox.simulation.world.simulated import SimulatedWorld

TRACKED = "simulation/pod-of-job"
"""Finalizer of a Job while its process lives, as the Job controller has one on pods."""
STARTS = 3.0
"""Seconds from a Job to its process, at most."""
KILLED = 0.25
"""Chance that a process is killed while there is trouble."""
ELSEWHERE = 0.2
"""Chance that a Kubernetes with the same manifests and the same bucket runs it too."""


class Jobs:
    """The Job controller, and the processes of the Jobs."""

    def __init__(
        self, world: SimulatedWorld, bucket: Bucket, random: Random, expect: Callable[[str, str], None]
    ) -> None:
        """`expect(folder, run)` is called when a process starts."""
        self._world, self._bucket, self._random, self._expect = world, bucket, random, expect
        self._server, self._log, self._scheduler = world.server, world.log, world.scheduler
        self._conditions = world.conditions
        self._running: dict[str, Process] = {}

    def on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        """A Job was created, or is being deleted."""
        if kind is not Kind.JOB:
            return
        uid = manifest["metadata"]["uid"]
        if event == "ADDED":
            self._server.patch(Kind.JOB, NAMESPACE, _name(manifest), _finalizers(TRACKED), "job-controller")
            self._scheduler.after(self._random.uniform(0.2, STARTS), lambda: self._start(manifest))
        elif "deletionTimestamp" in manifest["metadata"] and uid in self._running:
            self._running[uid].terminate()

    def _start(self, manifest: Manifest) -> None:
        found = self._server.get(Kind.JOB, NAMESPACE, _name(manifest))
        if found is None or found["metadata"]["uid"] != manifest["metadata"]["uid"]:
            return
        if "deletionTimestamp" in found["metadata"]:
            self._let_go(found)
            return
        job_spec = _job_spec(found)
        process = self._running[found["metadata"]["uid"]] = self._process(job_spec)
        self._log.add(f"job {_name(found)} runs")
        self._scheduler.background(self._until_its_end(process, found))
        if self._conditions.faults_active and self._random.random() < KILLED:
            self._scheduler.after(self._random.uniform(0.0, 8.0), process.kill)
        if self._random.random() < ELSEWHERE:
            twin = replace(job_spec, run=f"elsewhere-{job_spec.run}", cluster_uid="elsewhere")
            self._log.add(f"in another Kubernetes the same snapshot runs, {twin.folder}")
            self._scheduler.background(self._process(twin).live())

    def _process(self, job_spec: JobSpec) -> Process:
        begun = partial(self._expect, job_spec.folder, job_spec.run)
        return Process(self._world, self._bucket, self._random, job_spec, begun)

    async def _until_its_end(self, process: Process, job: Manifest) -> None:
        reason = await process.live()
        self._log.add(f"job {_name(job)} is over: {reason}")
        del self._running[job["metadata"]["uid"]]
        condition = "Complete" if reason in ("Complete", "Verified") else "Failed"
        status = {"conditions": [{"type": condition, "status": "True"}]}
        if self._server.get(Kind.JOB, NAMESPACE, _name(job)) is not None:
            self._server.put_status(Kind.JOB, NAMESPACE, _name(job), status)
            self._let_go(job)

    def _let_go(self, job: Manifest) -> None:
        self._server.patch(Kind.JOB, NAMESPACE, _name(job), _finalizers(), "job-controller")


class Process:
    """One Job's process; a killed one cannot clean up."""

    def __init__(
        self,
        world: SimulatedWorld,
        bucket: Bucket,
        random: Random,
        job_spec: JobSpec,
        on_start: Callable[[], None],
    ) -> None:
        """The process has not started yet."""
        self._on_start, self._dead = on_start, False
        line = Line(world.peers, random, Weather(loss=0.01, late=0.02, repeated=0.0))
        http = SimulatedHttp(line, lambda _host, _call: self._check_alive, world.node.address_of)
        storage = Door(world.conditions, bucket, random, self._check_alive)
        self._run = Run(job_spec, JobQdrant(world, http), storage, f"key-{world.seed}")
        self._task: asyncio.Task[str] | None = None

    async def live(self) -> str:
        """How it ended."""
        self._task = asyncio.get_running_loop().create_task(self._made())
        self._on_start()
        with suppress(asyncio.CancelledError, Crash):
            return await self._task
        return "Killed" if self._dead else "Interrupted"

    def terminate(self) -> None:
        """SIGTERM."""
        if self._task is not None:
            self._task.cancel()

    def kill(self) -> None:
        """SIGKILL: nothing is done any more."""
        self._dead = True
        self.terminate()

    async def _made(self) -> str:
        return (await self._run.make()).reason

    def _check_alive(self) -> None:
        if self._dead:
            raise Crash


class JobQdrant(SimulatedQdrant):
    """The real adapter; only a file's bytes come another way than over HTTP."""

    def __init__(self, world: SimulatedWorld, http: SimulatedHttp) -> None:
        """`http` knows the peers by the names of their pods."""
        super().__init__(http)
        self._peers, self._node = world.peers, world.node

    async def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]:
        """A file in pieces, as long as its peer runs."""
        where = ("collections", name, "shards", str(shard), "snapshots", snapshot)
        peer = self._peers.at(self._node.address_of(urlsplit(endpoint.url).hostname or ""))
        if peer is None or not peer.running:
            raise Unreachable(f"{snapshot}: connection refused")
        answer = await self._peers.respond(peer, Call("GET", where, {}, endpoint.api_key))
        if answer.stream is None:
            raise Unreachable(f"{snapshot}: {answer.status}")
        for piece in answer.stream():
            await asyncio.sleep(0.05)
            if not peer.running:
                raise Unreachable(f"{snapshot}: the connection broke")
            yield piece


def _job_spec(job: Manifest) -> JobSpec:
    """What a Job's environment asks for."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return JobSpec.load(next(one["value"] for one in environment if one["name"] == JOB_SPEC))


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _finalizers(*finalizers: str) -> Manifest:
    return {"metadata": {"finalizers": list(finalizers) or None}}
