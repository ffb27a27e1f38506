"""The sandbox itself: real controllers see pods that behave as kubelet's do."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.handle import NodeRefusedError
from sandbox.kubectl import kubectl

pytestmark = pytest.mark.integration
Manifest = dict[str, Any]


class Namespace:
    """One test's namespace, through kubectl as a user has it."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox = sandbox
        self.node = sandbox.node
        self.name = name

    def run(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl here."""
        return kubectl(self.sandbox.kubeconfig, "--namespace", self.name, *args, stdin=stdin)

    def apply(self, *objects: Manifest) -> None:
        """Apply objects."""
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, what: str) -> Manifest:
        """Read one object, as `kind/name`."""
        found: Manifest = json.loads(self.run("get", what, "-o", "json"))
        return found

    def waiting(self, pod: str) -> Manifest:
        """Why the first container of a pod waits; {} when it does not."""
        statuses = self.get(f"pod/{pod}").get("status", {}).get("containerStatuses", [{}])
        reason: Manifest = statuses[0].get("state", {}).get("waiting", {})
        return reason

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Look again until it is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.run("get", "pods", "-o", "wide")
            time.sleep(0.1)


@pytest.fixture
def here(sandbox: Sandbox, namespace: str) -> Namespace:
    """The test's namespace."""
    return Namespace(sandbox, namespace)


def shell(script: str, **more: Any) -> Manifest:
    """A container that runs a script."""
    return {"name": "main", "image": "busybox:1", "command": ["sh", "-c", script], **more}


def pod(name: str, container: Manifest, **spec: Any) -> Manifest:
    """A bare pod."""
    body = {"terminationGracePeriodSeconds": 2, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def job(name: str, script: str) -> Manifest:
    """A job of one attempt."""
    spec = {"restartPolicy": "Never", "containers": [shell(script, terminationMessagePath="/dev/said")]}
    body = {"backoffLimit": 0, "template": {"spec": spec}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


def stateful_set() -> Manifest:
    """Three pods that each write a line to a volume of their own when they start."""
    container = shell(
        "echo started >> /data/starts; exec sleep 1000",
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        readinessProbe={"exec": {"command": ["test", "-f", "/data/starts"]}, "periodSeconds": 1},
    )
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {
        "serviceName": "web",
        "replicas": 3,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "web"}},
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec}


def test_a_stateful_set_lives_through_kills_and_deletions(here: Namespace) -> None:
    """3/3 become ready on volumes; a killed container starts again; a deleted pod comes back to its volume."""
    here.apply(stateful_set())
    here.run("rollout", "status", "statefulset/web", "--timeout=30s")
    address = here.get("pod/web-1")["status"]["podIP"]

    here.node.kill(here.name, "web-0")
    here.until(lambda: here.get("pod/web-0")["status"]["containerStatuses"][0]["restartCount"] == 1)
    last = here.get("pod/web-0")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 128 + signal.SIGKILL

    here.run("delete", "pod", "web-1")
    here.run("rollout", "status", "statefulset/web", "--timeout=30s")
    assert here.get("pod/web-1")["status"]["podIP"] == address
    volume = here.get("pvc/data-web-1")["spec"]["volumeName"]
    folder = here.get(f"pv/{volume}")["spec"]["hostPath"]["path"]
    assert Path(folder, "starts").read_text() == "started\n" * 2


def test_a_volume_goes_with_its_claim(here: Namespace) -> None:
    """A deleted claim takes its volume and the folder with it."""
    here.apply(stateful_set())
    here.run("rollout", "status", "statefulset/web", "--timeout=30s")
    volume = here.get("pvc/data-web-2")["spec"]["volumeName"]
    here.run("delete", "statefulset", "web")
    here.run("delete", "pvc", "--all")
    here.until(lambda: volume not in here.run("get", "pv", "-o", "name"))
    assert not list((here.sandbox.folder / "node" / "volumes").glob(f"{here.name}.*"))


def test_jobs_succeed_and_fail(here: Namespace) -> None:
    """A job's pod ends Succeeded or Failed with its exit code and its last words, and the Job says so."""
    here.apply(job("good", "echo -n 'all done' > /dev/said"), job("bad", "exit 7"))
    here.run("wait", "--for=condition=Complete", "job/good", "--timeout=30s")
    here.run("wait", "--for=condition=Failed", "job/bad", "--timeout=30s")
    ends = {
        item["metadata"]["labels"]["job-name"]: item["status"]["containerStatuses"][0]["state"]["terminated"]
        for item in json.loads(here.run("get", "pods", "-o", "json"))["items"]
    }
    assert (ends["good"]["exitCode"], ends["bad"]["exitCode"]) == (0, 7)
    assert ends["good"]["message"] == "all done"


def test_an_unknown_image_is_not_pulled(here: Namespace) -> None:
    """A tag that does not exist leaves the pod waiting, with the image in the message."""
    here.apply(pod("lost", {"name": "main", "image": "docker.io/qdrant/qdrant:v9.99.0"}))
    here.until(lambda: here.waiting("lost").get("reason") == "ImagePullBackOff")
    assert "qdrant/qdrant:v9.99.0: not found" in here.waiting("lost")["message"]
    assert here.get("pod/lost")["status"]["phase"] == "Pending"


def test_a_missing_secret_is_waited_for(here: Namespace) -> None:
    """The container says which Secret is missing, and starts when it is there."""
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "late", "key": "key"}}}
    here.apply(pod("patient", shell("echo $KEY; exec sleep 1000", env=[variable])))
    here.until(lambda: here.waiting("patient").get("reason") == "CreateContainerConfigError")
    assert here.waiting("patient")["message"] == 'secret "late" not found'
    here.run("create", "secret", "generic", "late", "--from-literal=key=value")
    here.run("wait", "--for=condition=Ready", "pod/patient", "--timeout=30s")
    here.until(lambda: here.node.logs(here.name, "patient") == "value\n")


def test_init_containers_come_first(here: Namespace) -> None:
    """What an init container leaves in an emptyDir is there when the main one starts."""
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    init = {**shell("echo prepared > /shared/file", volumeMounts=mounts), "name": "init"}
    main = shell("cat /shared/file; exec sleep 1000", volumeMounts=mounts)
    here.apply(pod("two", main, initContainers=[init], volumes=[{"name": "shared", "emptyDir": {}}]))
    here.run("wait", "--for=condition=Ready", "pod/two", "--timeout=30s")
    here.until(lambda: here.node.logs(here.name, "two", "main") == "prepared\n")


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(here: Namespace) -> None:
    """Deletion runs the preStop hook, asks, and after the grace period ends the process."""
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /data/hook"]}}}
    script = "trap 'echo asked > /data/asked' TERM; touch /data/up; while :; do sleep 0.1; done"
    mounts = [{"name": "data", "mountPath": "/data"}]
    folder = here.sandbox.folder / f"kept-{here.name}"
    folder.mkdir()
    ready = {"exec": {"command": ["test", "-f", "/data/up"]}, "periodSeconds": 1}
    container = shell(script, lifecycle=hook, volumeMounts=mounts, readinessProbe=ready)
    volume = {"name": "data", "hostPath": {"path": str(folder)}}
    here.apply(pod("deaf", container, volumes=[volume]))
    here.run("wait", "--for=condition=Ready", "pod/deaf", "--timeout=30s")
    began = time.monotonic()
    here.run("delete", "pod", "deaf")
    assert 1.5 < time.monotonic() - began < 10
    assert {file.name for file in folder.iterdir()} == {"up", "hook", "asked"}


def test_a_failing_liveness_probe_restarts(here: Namespace) -> None:
    """A container whose liveness probe fails is started again."""
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    here.apply(pod("sick", shell("exec sleep 1000", livenessProbe=probe)))
    here.until(lambda: here.get("pod/sick")["status"]["containerStatuses"][0]["restartCount"] >= 1)


def test_a_readiness_gate_holds_the_pod_back(here: Namespace) -> None:
    """A pod with a readiness gate is ready only when somebody has set its condition."""
    here.apply(pod("gated", shell("exec sleep 1000"), readinessGates=[{"conditionType": "example.com/in"}]))
    here.run("wait", "--for=condition=ContainersReady", "pod/gated", "--timeout=30s")
    ready = {item["type"]: item["status"] for item in here.get("pod/gated")["status"]["conditions"]}
    assert ready["Ready"] == "False"
    gate = {"status": {"conditions": [{"type": "example.com/in", "status": "True"}]}}
    here.run("patch", "pod", "gated", "--subresource=status", "-p", json.dumps(gate))
    here.run("wait", "--for=condition=Ready", "pod/gated", "--timeout=30s")


def test_a_pod_may_talk_to_the_api_server_as_its_service_account(here: Namespace) -> None:
    """A mounted token is a real one: the pod is who its service account says, and has no rights of its own."""
    script = f'"{_kubectl()}" auth whoami -o name; "{_kubectl()}" get pods 2>&1; true'
    here.run("create", "serviceaccount", "someone")
    here.apply(pod("client", shell(script), restartPolicy="Never", serviceAccountName="someone"))
    here.until(lambda: here.get("pod/client")["status"]["phase"] == "Succeeded")
    log = here.node.logs(here.name, "client")
    assert f'User "system:serviceaccount:{here.name}:someone" cannot list resource "pods"' in log


def test_control_of_the_node(here: Namespace) -> None:
    """Paused processes stand still; real ones refuse a partition; a pod that is not there is named."""
    here.apply(pod("one", shell("exec sleep 1000")))
    here.run("wait", "--for=condition=Ready", "pod/one", "--timeout=30s")
    pid = here.node.pod(here.name, "one").pids["main"]
    here.node.pause(here.name, "one")
    here.until(lambda: _process_state(pid) == "T")
    here.node.resume(here.name, "one")
    here.until(lambda: _process_state(pid) == "S")
    with pytest.raises(NodeRefusedError, match="run no simulated peer"):
        here.node.partition(here.name, ["one"], ["one"])
    with pytest.raises(NodeRefusedError, match="runs no pod"):
        here.node.kill(here.name, "two")


def test_the_operators_token_has_no_rights_of_its_own(here: Namespace) -> None:
    """Without a binding the operator's kubeconfig may read nothing: its RBAC is really enforced."""
    said = kubectl(here.sandbox.operator_kubeconfig, "auth", "whoami")
    assert "system:serviceaccount:qdrant-operator:qdrant-operator" in said
    with pytest.raises(RuntimeError, match="cannot list resource"):
        kubectl(here.sandbox.operator_kubeconfig, "get", "nodes")


def test_a_crashed_node_is_not_ready_until_it_boots(here: Namespace) -> None:
    """A node that goes down takes its processes with it and says NotReady; up again, it runs its pods anew."""
    here.apply(pod("survivor", shell("exec sleep 1000")))
    here.run("wait", "--for=condition=Ready", "pod/survivor", "--timeout=30s")
    pid = here.node.pod(here.name, "survivor").pids["main"]
    here.node.down()
    try:
        here.run("wait", "--for=condition=Ready=False", "node/sandbox", "--timeout=10s")
        assert not Path(f"/proc/{pid}").exists()
    finally:
        here.node.up()
    here.run("wait", "--for=condition=Ready", "node/sandbox", "--timeout=10s")
    here.until(lambda: any(pod.pids for pod in here.node.pods(here.name)))
    here.run("wait", "--for=condition=Ready", "pod/survivor", "--timeout=30s")
    assert here.node.pod(here.name, "survivor").pids["main"] != pid


def _process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _kubectl() -> str:
    from sandbox.kubectl import find_kubectl

    return str(find_kubectl())
