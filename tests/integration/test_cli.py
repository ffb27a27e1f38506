"""`status` and `plan` beside a running operator: the truth of peers and shards, and no write at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from sandbox.processes import python_environment
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually, is_true
from tests.integration.support.operator import Operator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: [get, list]}
"""


class Cli:
    """The program as a person runs it, with rights to read one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._environment = {**python_environment(), "KUBECONFIG": str(kubeconfig), "HOME": "/nonexistent"}
        self._namespace = namespace

    def run(self, *arguments: str, through: str = "pod-ip") -> str:
        """Output of a command that succeeds."""
        found = self.call(*arguments, "-n", self._namespace, "--peers-through", through)
        assert (found.returncode, found.stderr) == (0, ""), found.stderr
        return found.stdout

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command."""
        command = [sys.executable, "-m", "qdrant_operator", *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )

    def plan(self, *arguments: str) -> dict[str, Any]:
        """A plan as JSON."""
        found: dict[str, Any] = json.loads(self.run("plan", "vectors", *arguments, "--output", "json"))
        return found


@pytest.fixture
def cli(sandbox: Sandbox, kube: Kube, operator: Operator, namespace: str) -> Cli:
    """A cluster of three peers with one collection, and somebody who may only read."""
    kube.create(manifests.cluster(), namespace)
    kube.create(manifests.collection(), namespace)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 90)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs", 60)
    kubectl(sandbox.kubeconfig, "apply", "-n", namespace, "-f", "-", stdin=ROLE)
    kubectl(sandbox.kubeconfig, "create", "serviceaccount", "reader", "-n", namespace)
    binding = ["create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader"]
    kubectl(sandbox.kubeconfig, *binding, "-n", namespace)
    return Cli(sandbox.kubeconfig_for(namespace, "reader"), namespace)


def test_status_and_plan_of_a_running_cluster(cli: Cli, kube: Kube, namespace: str, tmp_path: Path) -> None:
    """Peers, shards, leader and conditions are those of the cluster; changes are planned and not made."""
    before = _until_quiet(kube, namespace)
    state = tmp_path / "state.json"
    drawn = cli.run("status", "vectors", "--record", str(state))
    status = before["status"]
    for peer in status["peers"]:
        assert re.search(rf"^\d  {peer['pod']}  {peer['id']}  ", drawn, re.MULTILINE), drawn
    assert re.search(rf"{status['leader']} .* leader$", drawn, re.MULTILINE)
    assert [row.count("A") for row in _grid(drawn)] == [2, 2, 2], drawn
    assert re.search(r"Ready +True +AllPeersReady", drawn)
    assert cli.plan()["steps"] == []

    more = cli.plan("--what-if", "replicationFactor.docs=3")
    assert {step["step"] for step in more["steps"]} == {"ReplicateShard"}
    assert len(more["later"]["steps"]) == 3
    fewer = cli.plan("--what-if", "replicas=2")
    assert "vectors-2" in fewer["steps"][0]["text"]
    assert [wait["guard"] for wait in fewer["blocked"] if wait["step"].startswith("remove peer")]

    assert _key(kube, namespace) not in state.read_text()
    replayed = cli.call(
        "plan", "--from", str(state), "--what-if", "replicationFactor.docs=3", "--output", "json"
    )
    assert json.loads(replayed.stdout) == more
    healthy = cli.call("plan", "--from", str(state), "--output", "json")
    assert json.loads(healthy.stdout)["steps"] == [], "a recorded cluster is as healthy as the real one"
    assert _same(kube, namespace, before), "status and plan write nothing"


def test_the_servers_own_no_is_told(cli: Cli, namespace: str) -> None:
    """The real API server does not proxy to loopback addresses: each peer is unknown, not empty, and it says why."""
    drawn = cli.run("status", "vectors", through="api-server")
    assert drawn.count("Unreachable") == 3
    assert "the API server's pod proxy says: address not allowed" in drawn


def test_what_cannot_be_read_is_said(cli: Cli, sandbox: Sandbox, namespace: str) -> None:
    """A name that does not exist and a missing right, each in one sentence."""
    missing = cli.call("status", "nobody", "-n", namespace)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert f"namespace '{namespace}' has no QdrantCluster 'nobody'" in missing.stderr
    forbidden = cli.call("plan", "vectors", "-n", "kube-system")
    assert (forbidden.returncode, forbidden.stdout) == (2, "")
    assert re.match(r"qdrant-operator: Forbidden: not allowed to get, list or watch ", forbidden.stderr)


def _grid(drawn: str) -> list[str]:
    """Rows of the shards."""
    return re.findall(r"^ +\d+ +[\d.]+ \w+ .*$", drawn, re.MULTILINE)


def _until_quiet(kube: Kube, namespace: str) -> dict[str, Any]:
    """The object once the loop has told of all shards and plans nothing."""

    def told() -> dict[str, Any] | None:
        found = kube.get(Kind.CLUSTER, namespace, "vectors")
        whole = (
            found
            and is_true(found, "Ready")
            and found["status"]["shards"]["sound"] == 6
            and not found["status"].get("planned")
        )
        return found if whole else None

    return eventually(told, 30, lambda: kube.tell(Kind.CLUSTER, namespace, "vectors"))


def _same(kube: Kube, namespace: str, before: dict[str, Any]) -> bool:
    after = kube.get(Kind.CLUSTER, namespace, "vectors")
    sets = kube.get(Kind.STATEFUL_SET, namespace, "vectors")
    assert after is not None
    assert sets is not None
    return bool(after["spec"] == before["spec"] and sets["spec"]["replicas"] == 3 and is_true(after, "Ready"))


def _key(kube: Kube, namespace: str) -> str:
    """The API key, as it stands in its Secret."""
    secret = kube.get(Kind.SECRET, namespace, "vectors-peer-auth")
    assert secret is not None
    return str(secret["data"]["api-key"])
