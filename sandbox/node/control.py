"""The node's side of `sandbox.handle`: one verb a path, JSON in and out, over a unix socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.handle import NodeRefusedError, PodOnNode
from sandbox.node.agent import Agent
from sandbox.node.pods.pod import PodWorker

_Arguments = dict[str, Any]


class Control:
    """Answers requests about one node."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._verbs: dict[str, Callable[[_Arguments], Awaitable[Any]]] = {
            name: getattr(self, f"_{name}")
            for name in (
                "ready",
                "pods",
                "address",
                "kill",
                "pause",
                "resume",
                "partition",
                "heal",
                "down",
                "up",
            )
        }

    async def serve(self, socket: Path) -> web.AppRunner:
        """Listen; the runner's `cleanup` ends it."""
        application = web.Application()
        application.router.add_post("/{verb}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        verb = self._verbs.get(request.match_info["verb"])
        if verb is None:
            return web.json_response("the node knows no such verb", status=404)
        try:
            return web.json_response(await verb(await request.json()))
        except NodeRefusedError as error:
            return web.json_response(str(error), status=409)

    async def _ready(self, _: _Arguments) -> bool:
        return self._agent.ready

    async def _pods(self, _: _Arguments) -> list[dict[str, Any]]:
        return [asdict(_on_node(worker)) for worker in self._agent.workers()]

    async def _address(self, asked: _Arguments) -> str:
        return self._agent.node.addresses.of(asked["namespace"], asked["pod"])

    async def _kill(self, asked: _Arguments) -> None:
        self._agent.worker(asked["namespace"], asked["pod"]).signal(asked["signal"])

    async def _pause(self, asked: _Arguments) -> None:
        self._agent.pause(asked["namespace"], asked["pod"])

    async def _resume(self, asked: _Arguments) -> None:
        self._agent.resume(asked["namespace"], asked["pod"])

    async def _partition(self, asked: _Arguments) -> None:
        self._agent.partition(asked["namespace"], asked["side"], asked["other"])

    async def _heal(self, _: _Arguments) -> None:
        self._agent.node.peers.heal()

    async def _down(self, _: _Arguments) -> None:
        await self._agent.down()

    async def _up(self, _: _Arguments) -> None:
        await self._agent.up()


def _on_node(worker: PodWorker) -> PodOnNode:
    running = {
        c.name: c.process.pid for c in worker.containers if c.process is not None and c.process.running
    }
    logs = {("init:" if c.init else "") + c.name: str(c.log) for c in worker.containers}
    pod = worker.pod
    return PodOnNode(pod.namespace, pod.name, pod.address, worker.simulated, running, logs)
