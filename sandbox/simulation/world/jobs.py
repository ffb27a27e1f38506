"""Runs the Jobs of snapshots: the real data path over simulated peers, with ends that nobody wishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qdrant_operator.domain.backup.job_spec import INSTRUCTION, Instruction
from qdrant_operator.domain.common.errors import Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Kind, Manifest
from qdrant_operator.domain.qdrant.views import ShardId
from qdrant_operator.jobs.backup.run import Run
from sandbox.fakes.kubernetes import Crash
from sandbox.qdrant_sim.core.api.answers import Call
from sandbox.simulation.world.bucket import Door
from sandbox.simulation.world.network import Line, SimulatedHttp, SimulatedQdrant, Weather
from sandbox.simulation.world.user import NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

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

    def __init__(self, story: Story, random: Random) -> None:
        """There are none yet."""
        self._story, self._random = story, random
        self._running: dict[str, Process] = {}

    def on_change(self, kind: Kind, event: str, manifest: Manifest) -> None:
        """A Job was made, or shall go."""
        if kind is not Kind.JOB:
            return
        uid = manifest["metadata"]["uid"]
        if event == "ADDED":
            self._story.server.patch(
                Kind.JOB, NAMESPACE, _name(manifest), _finalizers(TRACKED), "job-controller"
            )
            self._story.after(self._random.uniform(0.2, STARTS), lambda: self._start(manifest))
        elif "deletionTimestamp" in manifest["metadata"] and uid in self._running:
            self._running[uid].terminate()

    def _start(self, manifest: Manifest) -> None:
        found = self._story.server.get(Kind.JOB, NAMESPACE, _name(manifest))
        if found is None or found["metadata"]["uid"] != manifest["metadata"]["uid"]:
            return
        if "deletionTimestamp" in found["metadata"]:
            self._let_go(found)
            return
        instruction = _instruction(found)
        process = self._running[found["metadata"]["uid"]] = Process(self._story, self._random, instruction)
        self._story.tell(f"job {_name(found)} runs")
        self._story.background(self._until_its_end(process, found))
        if self._story.trouble and self._random.random() < KILLED:
            self._story.after(self._random.uniform(0.0, 8.0), process.kill)
        if self._random.random() < ELSEWHERE:
            twin = replace(instruction, run=f"elsewhere-{instruction.run}", cluster_uid="elsewhere")
            self._story.tell(f"in another Kubernetes the same snapshot runs, {twin.folder}")
            self._story.background(Process(self._story, self._random, twin).live())

    async def _until_its_end(self, process: Process, job: Manifest) -> None:
        reason = await process.live()
        self._story.tell(f"job {_name(job)} is over: {reason}")
        del self._running[job["metadata"]["uid"]]
        condition = "Complete" if reason in ("Complete", "Verified") else "Failed"
        status = {"conditions": [{"type": condition, "status": "True"}]}
        if self._story.server.get(Kind.JOB, NAMESPACE, _name(job)) is not None:
            self._story.server.put_status(Kind.JOB, NAMESPACE, _name(job), status)
            self._let_go(job)

    def _let_go(self, job: Manifest) -> None:
        self._story.server.patch(Kind.JOB, NAMESPACE, _name(job), _finalizers(), "job-controller")


class Process:
    """One Job's process; a killed one cannot clean up."""

    def __init__(self, story: Story, random: Random, instruction: Instruction) -> None:
        """It does what it was told."""
        self.instruction = instruction
        self._story, self._dead = story, False
        line = Line(story.peers, random, Weather(loss=0.01, late=0.02, repeated=0.0))
        storage = Door(story, story.backups.bucket, random, self._lives)
        peers = JobQdrant(story, SimulatedHttp(line, lambda _host, _call: self._lives, story.node.address_of))
        self._run = Run(self.instruction, peers, storage, f"key-{story.seed}")
        self._task: asyncio.Task[str] | None = None

    async def live(self) -> str:
        """How it ended."""
        self._task = asyncio.get_running_loop().create_task(self._made())
        self._story.backups.laws.expect(self.instruction.folder, self.instruction.run)
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

    def _lives(self) -> None:
        if self._dead:
            raise Crash


class JobQdrant(SimulatedQdrant):
    """The real adapter; only a file's bytes come another way than over HTTP."""

    def __init__(self, story: Story, http: SimulatedHttp) -> None:
        """`http` knows the peers by the names of their pods."""
        super().__init__(http)
        self._story, self._calls = story, http

    async def download_shard_snapshot(
        self, endpoint: Endpoint, name: str, shard: ShardId, snapshot: str
    ) -> AsyncIterator[bytes]:
        """A file in pieces, as long as its peer runs."""
        where = ("collections", name, "shards", str(shard), "snapshots", snapshot)
        peer = self._story.peers.universe.peers.get(
            self._story.node.address_of(urlsplit(endpoint.url).hostname or "")
        )
        if peer is None or not peer.running:
            raise Unreachable(f"{snapshot}: connection refused")
        answer = await self._story.peers.respond(peer, Call("GET", where, {}, endpoint.api_key))
        if answer.stream is None:
            raise Unreachable(f"{snapshot}: {answer.status}")
        for piece in answer.stream():
            await asyncio.sleep(0.05)
            if not peer.running:
                raise Unreachable(f"{snapshot}: the connection broke")
            yield piece


def _instruction(job: Manifest) -> Instruction:
    """What a Job's environment asks for."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return Instruction.load(next(one["value"] for one in environment if one["name"] == INSTRUCTION))


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _finalizers(*finalizers: str) -> Manifest:
    return {"metadata": {"finalizers": list(finalizers) or None}}
