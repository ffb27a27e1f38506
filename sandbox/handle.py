"""Control of a running node, for tests and the demo: kill, pause, partition, logs, node down and up.

Each call is one short request over the node's unix socket and returns when the thing is done. Calls block for
milliseconds, so they are plain functions.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NodeRefusedError(Exception):
    """The node did not do what was asked; says why."""


@dataclass(frozen=True, slots=True)
class PodOnNode:
    """A pod as the node runs it."""

    namespace: str
    name: str
    address: str
    simulated: bool
    """Whether a simulated peer runs in it."""
    pids: dict[str, int]
    """Container name to process id, of containers that run now."""
    logs: dict[str, str]
    """Container name to the path of its log."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("node", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class NodeHandle:
    """Control of the node behind a unix socket."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self.socket = path
        self._timeout = timeout

    def ready(self) -> bool:
        """Tell whether the node is registered and takes pods."""
        try:
            return bool(self._call("ready"))
        except (OSError, NodeRefusedError):
            return False

    def pods(self, namespace: str | None = None) -> list[PodOnNode]:
        """Pods that the node runs now, sorted by namespace and name."""
        pods = [PodOnNode(**pod) for pod in self._call("pods")]
        return [pod for pod in pods if namespace in (None, pod.namespace)]

    def pod(self, namespace: str, name: str) -> PodOnNode:
        """One pod that the node runs now.

        Raises:
            NodeRefusedError: the node does not run it.
        """
        for pod in self.pods(namespace):
            if pod.name == name:
                return pod
        raise NodeRefusedError(f"the node runs no pod {namespace}/{name}")

    def address(self, namespace: str, name: str) -> str:
        """Loopback address of a pod; the same for all pods that ever bear this name."""
        return str(self._call("address", namespace=namespace, pod=name))

    def kill(self, namespace: str, pod: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to every running container of a pod."""
        self._call("kill", namespace=namespace, pod=pod, signal=int(number))

    def pause(self, namespace: str, pod: str) -> None:
        """Stop a pod's processes where they are: sockets stay open and nothing answers."""
        self._call("pause", namespace=namespace, pod=pod)

    def resume(self, namespace: str, pod: str) -> None:
        """Let paused processes go on."""
        self._call("resume", namespace=namespace, pod=pod)

    def partition(self, namespace: str, side: Iterable[str], other: Iterable[str]) -> None:
        """Cut the peer network between two groups of pods; simulated peers only.

        Raises:
            NodeRefusedError: a pod runs a real process, whose loopback traffic cannot be cut without root.
        """
        self._call("partition", namespace=namespace, side=sorted(side), other=sorted(other))

    def heal(self) -> None:
        """End every partition."""
        self._call("heal")

    def down(self) -> None:
        """Crash the node: every process dies unreported, and the node is NotReady until `up`."""
        self._call("down")

    def up(self) -> None:
        """Boot the node again: its pods' containers start anew, on their old volumes."""
        self._call("up")

    def log_path(self, namespace: str, pod: str, container: str | None = None) -> Path:
        """File with the output of a container (of the only one when not named), all its starts."""
        paths = self.pod(namespace, pod).logs
        if container is None:
            names = [name for name in paths if not name.startswith("init:")]
            if len(names) != 1:
                raise NodeRefusedError(f"pod {namespace}/{pod} has containers {', '.join(names)}: name one")
            container = names[0]
        return Path(paths[container])

    def logs(self, namespace: str, pod: str, container: str | None = None) -> str:
        """What a container has written so far."""
        path = self.log_path(namespace, pod, container)
        return path.read_text(errors="replace") if path.exists() else ""

    def _call(self, verb: str, **arguments: Any) -> Any:
        connection = _Connection(self.socket, self._timeout)
        try:
            connection.request("POST", f"/{verb}", json.dumps(arguments))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise NodeRefusedError(str(answer))
        return answer
