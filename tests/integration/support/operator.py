"""The operator as a process of its own, as a pod would run it: start, stop in order, kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from sandbox.processes import free_ports, python_environment
from tests.integration.support.kube import eventually

IMAGE = "localhost/qdrant-operator:test"
NAMELESS = Path(__file__).with_name("nameless")
"""A folder whose sitecustomize makes the user one without a name, as in a container."""
USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


class Operator:
    """One operator process under the RBAC rules that the chart grants."""

    def __init__(self, kubeconfig: Path, log: Path, namespaces: str = "", *, lease: str = "") -> None:
        self.log = log
        self.port = free_ports(1)[0]
        found = python_environment()
        self._environment = {
            **{name: value for name, value in found.items() if name not in USER_NAMES},
            "PYTHONPATH": f"{NAMELESS}{os.pathsep}{found['PYTHONPATH']}",
            "KUBECONFIG": str(kubeconfig),
            "QDRANT_OPERATOR_IMAGE": IMAGE,
            "QDRANT_OPERATOR_NAMESPACES": namespaces,
            "QDRANT_OPERATOR_LEASE": lease,
            "QDRANT_OPERATOR_HOST": "127.0.0.1",
            "QDRANT_OPERATOR_PORT": str(self.port),
            "QDRANT_OPERATOR_LOG_LEVEL": "INFO",
            "QDRANT_OPERATOR_STORAGE_ENDPOINTS": "http://127.*",
            "POD_NAMESPACE": "qdrant-operator",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return when its caches are in sync."""
        with self.log.open("ab") as out:
            command = [sys.executable, "-m", "qdrant_operator", "run"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=out, stderr=out)
        if wait:
            eventually(self.ready, 30, lambda: self.log.read_text()[-3000:])

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        assert self._process is not None
        assert self._process.poll() is None, f"the operator ended:\n{self.log.read_text()[-3000:]}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> str:
        """The metrics page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    @property
    def pid(self) -> int:
        """Process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it with SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._process = None
        return code
