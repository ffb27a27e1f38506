"""The operator as a process beside the sandbox, held to the rights that the chart grants it."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

import yaml

from qdrant_operator.api.rbac import bound, cluster_role, lease_role
from sandbox.cluster import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Sandbox
from sandbox.kubectl import kubectl
from sandbox.processes import Child, free_ports, python_environment, spawn

IMAGE = "localhost/qdrant-operator:sandbox"
"""What snapshot Jobs run: the node maps it to this Python."""
LEASE = "qdrant-operator"
READY_WITHIN = 30.0


def install(sandbox: Sandbox) -> None:
    """Apply the CRDs and the operator's rights."""
    kubectl(sandbox.kubeconfig, "create", "namespace", OPERATOR_NAMESPACE)
    kubectl(sandbox.kubeconfig, "apply", "-f", str(sandbox.sources / "crds"))
    roles = [cluster_role(), lease_role(LEASE, OPERATOR_NAMESPACE, LEASE)]
    rights = [*roles, *(bound(role, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE) for role in roles)]
    kubectl(sandbox.kubeconfig, "apply", "-f", "-", stdin=yaml.safe_dump_all(rights))
    kubectl(sandbox.kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


class OperatorProcess:
    """`qdrant-operator run` for all namespaces."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.log = sandbox.logs / "operator.log"
        self.port = free_ports(1)[0]
        self._child: Child | None = None

    def start(self) -> None:
        """Start it and return when its caches are in sync.

        Raises:
            RuntimeError: it ended, or was not ready in time; with the end of its log.
        """
        argv = [sys.executable, "-m", "qdrant_operator", "run"]
        self._child = Child("operator", spawn(argv, log=self.log, env=self._environment()), self.log)
        deadline = time.monotonic() + READY_WITHIN
        while not self._ready():
            self._child.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the operator was not ready; its log:\n{self._child.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            self._child.stop(grace=15)

    def _environment(self) -> dict[str, str]:
        return {
            **python_environment(),
            "KUBECONFIG": str(self._sandbox.operator_kubeconfig),
            "QDRANT_OPERATOR_IMAGE": IMAGE,
            "QDRANT_OPERATOR_LEASE": LEASE,
            "QDRANT_OPERATOR_HOST": "127.0.0.1",
            "QDRANT_OPERATOR_PORT": str(self.port),
            # The sandbox's S3 server listens on the loopback, which backups may not use elsewhere.
            "QDRANT_OPERATOR_STORAGE_ENDPOINTS": "http://127.*",
            "POD_NAMESPACE": OPERATOR_NAMESPACE,
        }

    def _ready(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False
