"""One container: started, probed, restarted with back-off, stopped with grace."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sandbox.node.context import NotYetError, Pod
from sandbox.node.kube import Manifest
from sandbox.node.peers import Started
from sandbox.node.pods.launch import Launch, prepare, termination_message
from sandbox.node.pods.probes import Prober, Target
from sandbox.node.pods.process import Process

_BACKOFF_FIRST = 0.2
_BACKOFF_LAST = 5.0
"""Seconds between restarts: kubelet's 10 s to 5 min, made short so that tests need not wait."""
_SOUND_AFTER = 10.0
"""A container that ran this long starts again with the first back-off."""
_NOT_YET = {"ErrImagePull": "ImagePullBackOff"}
"""What a reason turns into at the second try, as kubelet words it."""


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Phase(StrEnum):
    """State of a container, as its status names it."""

    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class State:
    """One of Kubernetes' three container states."""

    phase: Phase
    details: Manifest = field(default_factory=dict)

    def manifest(self) -> Manifest:
        """Return it as it stands in a container's status."""
        return {str(self.phase): self.details}


class Container:
    """One container of a pod, through all its starts."""

    def __init__(self, pod: Pod, spec: Manifest, *, init: bool = False) -> None:
        self.pod = pod
        self.spec = spec
        self.name = str(spec["name"])
        self.init = init
        self.state = State(Phase.WAITING, {"reason": "PodInitializing"})
        self.last: State | None = None
        self.restarts = 0
        self.process: Process | None = None
        self.simulated = False
        self.log: Path = pod.logs / f"{self.name}.log"
        self._prober: Prober | None = None
        self._launch: Launch | None = None
        self._stopping = False
        self._backoff = _BACKOFF_FIRST
        self._wake = asyncio.Event()

    @property
    def exit_code(self) -> int | None:
        """Exit code of a container that has ended for good or waits for its restart."""
        code = self.state.details.get("exitCode")
        return None if code is None else int(code)

    @property
    def started(self) -> bool:
        """Whether the startup probe, if any, has succeeded."""
        return self._prober is not None and self._prober.health.started

    @property
    def ready(self) -> bool:
        """Whether it runs and its readiness probe, if any, succeeds."""
        return self.state.phase is Phase.RUNNING and self._prober is not None and self._prober.health.ready

    def creating(self) -> None:
        """Its turn has come."""
        self._become(State(Phase.WAITING, {"reason": "ContainerCreating"}))

    async def run(self) -> int:
        """Run to the end that the restart policy allows, or until stopped; returns the last exit code."""
        while True:
            code = await self._start_once()
            if self._stopping or (code is not None and not self._again(code)):
                return 0 if code is None else code
            await self._back_off(code)
            if self._stopping:
                return 0 if code is None else code

    async def stop(self, grace: float) -> None:
        """Run the preStop hook, ask the process to end, and end it after `grace` seconds in all."""
        self._stopping = True
        self._wake.set()
        process = self.process
        if process is None or not process.running:
            return
        deadline = time.monotonic() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(grace, 0.01)):
                await self._before_stop()
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)
        if not await process.wait(max(deadline - time.monotonic(), 0.1)):
            process.kill()
        await process.exited

    def kill(self) -> None:
        """End it now; what follows is the restart policy's."""
        if self.process is not None:
            self.process.kill()

    def abandon(self) -> None:
        """End it now and for good."""
        self._stopping = True
        self._wake.set()
        self.kill()

    async def _start_once(self) -> int | None:
        """Prepare, start and live through one process; None when it could not start."""
        try:
            self._launch = await prepare(self.pod, self.spec)
        except NotYetError as error:
            self._wait_for(error)
            return None
        if self._stopping:
            return None
        try:
            self.process = self._spawn(self._launch)
        except OSError as error:
            self._ended(127 if isinstance(error, FileNotFoundError) else 126, now(), str(error))
            return self.exit_code
        return await self._live(self.process, self._launch)

    def _wait_for(self, error: NotYetError) -> None:
        reason = error.reason
        if self.state.details.get("message") == error.message:
            reason = _NOT_YET.get(reason, reason)
        self._become(State(Phase.WAITING, {"reason": reason, "message": error.message}))

    def _spawn(self, launch: Launch) -> Process:
        self.pod.logs.mkdir(parents=True, exist_ok=True)
        return Process.start(launch.argv, env=launch.env, cwd=launch.cwd, log=self.log)

    async def _live(self, process: Process, launch: Launch) -> int:
        started_at, began = now(), time.monotonic()
        self.simulated = launch.simulated
        self._become(State(Phase.RUNNING, {"startedAt": started_at}))
        self._prober = Prober(self.spec, self._target(launch), self.pod.changed, self._unhealthy)
        probing = asyncio.create_task(self._prober.run())
        try:
            code = await self._end_of(process, launch)
        finally:
            probing.cancel()
            self._prober = None
        if time.monotonic() - began > _SOUND_AFTER:
            self._backoff = _BACKOFF_FIRST
        self._ended(code, started_at, self._message(launch, code))
        return code

    async def _end_of(self, process: Process, launch: Launch) -> int:
        if not launch.simulated:
            return await process.exited
        volume = launch.root.host("/qdrant/storage").resolve()
        started = Started(self.pod.address, launch.root.folder, volume, self.log)
        return await self.pod.node.peers.live(process, started)

    def _ended(self, code: int, started_at: str, message: str) -> None:
        reason = "Completed" if code == 0 else "Error"
        details: Manifest = {"exitCode": code, "reason": reason, "startedAt": started_at, "finishedAt": now()}
        if message:
            details["message"] = message
        self._become(State(Phase.TERMINATED, details))

    def _message(self, launch: Launch, code: int) -> str:
        message = termination_message(launch.root, self.spec)
        if message or code == 0 or self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return message
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-80:])[-2048:]

    def _again(self, code: int) -> bool:
        policy = "OnFailure" if self.init and self.pod.restart_policy == "Always" else self.pod.restart_policy
        return policy == "Always" or (policy == "OnFailure" and code != 0)

    async def _back_off(self, code: int | None) -> None:
        """Wait before the next start; a container that ended shows CrashLoopBackOff meanwhile."""
        if code is not None:
            self.last = self.state
            self.restarts += 1
            message = f"back-off {self._backoff:.1f}s restarting failed container={self.name}"
            self._become(State(Phase.WAITING, {"reason": "CrashLoopBackOff", "message": message}))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._backoff):
                await self._wake.wait()
        self._backoff = min(self._backoff * 2, _BACKOFF_LAST)

    def _become(self, state: State) -> None:
        self.state = state
        self.pod.changed()

    def _unhealthy(self, _why: str) -> None:
        """A liveness or startup probe failed for good: restart, with the grace that a deletion would give."""
        process = self.process
        if process is not None and process.running:
            process.signal(signal.SIGTERM)
            grace = self.pod.manifest["spec"].get("terminationGracePeriodSeconds", 30)
            asyncio.get_running_loop().call_later(grace, process.kill)

    def _target(self, launch: Launch) -> Target:
        ports = {port["name"]: port["containerPort"] for port in self.spec.get("ports", ()) if "name" in port}

        async def execute(argv: list[str], seconds: float) -> bool:
            return await self._execute(launch, argv, seconds)

        return Target(self.pod.address, ports, execute)

    async def _before_stop(self) -> None:
        action = self.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in action:
            process = self.process
            assert process is not None
            await process.wait(action["sleep"]["seconds"])
        elif "exec" in action and self._launch is not None:
            await self._execute(self._launch, action["exec"]["command"], None)

    async def _execute(self, launch: Launch, argv: list[str], seconds: float | None) -> bool:
        """Run a command beside the container's process, in its folders and environment."""
        log = self.pod.logs / f"{self.name}.exec.log"
        try:
            process = Process.start(launch.command(argv), env=launch.env, cwd=launch.cwd, log=log)
        except OSError:
            return False
        try:
            return await process.wait(seconds) and process.exited.result() == 0
        finally:
            process.kill()
