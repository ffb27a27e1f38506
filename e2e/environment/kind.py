"""The Kubernetes of a run: a kind cluster, its nodes as containers, and what can happen to them.

Faults are done to the nodes from outside, with docker, as a machine's owner, a cable or a kernel would do them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from e2e.environment.borrowed import borrowed
from e2e.environment.kubectl import Kubectl
from e2e.shell import BUILD, CommandFailed, Missing, eventually, run
from sandbox.kubectl import find_kubectl

_HERE = Path(__file__).parents[1]
_API_SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ASIDE = "/etc/kubernetes/kube-apiserver.yaml"
_AUDIT = "/var/log/kubernetes/audit.log"
BACK_SECONDS = 180.0
"""A node or an API server that was started again is there within this."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes that a run uses."""

    kubeconfig: Path
    kind: str | None
    """Name of the kind cluster, None for another Kubernetes."""
    own: bool
    """This suite made it: its nodes may be harmed."""


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The context that E2E_CONTEXT names, else a kind cluster: made here and deleted afterwards (not with KEEP=1).

    A kind cluster of the wanted name that is there already is used, and left; a named context is left without
    what the run made.

    Raises:
        Missing: there is no kind, or the named context has things of others that the run would change.
    """
    name = os.environ.get("E2E_NAME") or "qdrant-operator-e2e"
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    kubeconfig = folder / "kubeconfig"
    if context := os.environ.get("E2E_CONTEXT"):
        found = _existing(context, kubeconfig)
        with borrowed(Kubectl(kubeconfig)):
            yield found
        return
    present = name in run(_kind(), "get", "clusters").split()
    if present:
        kubeconfig.write_text(run(_kind(), "get", "kubeconfig", "--name", name))
    else:
        _create(name, folder, kubeconfig)
    try:
        yield Cluster(kubeconfig, name, own=True)
    finally:
        if not present and not os.environ.get("KEEP"):
            run(_kind(), "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), timeout=120)


def _existing(context: str, kubeconfig: Path) -> Cluster:
    arguments = ("config", "view", "--minify", "--flatten", "--raw", "--context", context)
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(run(str(find_kubectl()), *arguments))
    return Cluster(
        kubeconfig, context.removeprefix("kind-") if context.startswith("kind-") else None, own=False
    )


def _create(name: str, folder: Path, kubeconfig: Path) -> None:
    config = folder / "kind.yaml"
    policy = _HERE / "audit-policy.yaml"
    config.write_text(Template((_HERE / "kind.yaml").read_text()).substitute(POLICY=policy))
    image = os.environ.get("KIND_NODE_IMAGE")
    run(
        _kind(), "create", "cluster", "--name", name, "--config", str(config), "--kubeconfig", str(kubeconfig),
        "--wait", "180s", *(("--image", image) if image else ()), timeout=600,
    )  # fmt: skip


def _kind() -> str:
    found = shutil.which("kind")
    if not found:
        raise Missing(
            "kind is missing: see https://kind.sigs.k8s.io, or name another cluster with E2E_CONTEXT"
        )
    return found


class Nodes:
    """The nodes of the run's cluster. Whatever is done to them is undone by `heal`."""

    def __init__(self, kubectl: Kubectl, cluster: Cluster, *, simulated: bool = False) -> None:
        self._kubectl, self._cluster, self._simulated = kubectl, cluster, simulated
        self._harmed: set[str] = set()
        self._api_server_is_down = False

    @property
    def workers(self) -> list[str]:
        """Names of the nodes that run peers."""
        return self._named("!node-role.kubernetes.io/control-plane")

    @property
    def control_plane(self) -> str:
        """Name of the node that runs the API server."""
        return self._named("node-role.kubernetes.io/control-plane")[0]

    @staticmethod
    def node_of(home: Kubectl, pod: str) -> str:
        """Where a pod of this namespace runs."""
        found = home.get("pod", pod)
        assert found is not None, f"there is no pod {pod}"
        return str(found["spec"]["nodeName"])

    def pause(self, node: str) -> None:
        """Freeze every process of the node: connections to it hang."""
        self._harm(node)
        run("docker", "pause", node)

    def resume(self, node: str) -> None:
        """Undo `pause`, and wait until the node is Ready."""
        run("docker", "unpause", node)
        self._wait_back(node)

    def stop(self, node: str) -> None:
        """Pull the plug."""
        self._harm(node)
        run("docker", "kill", node)

    def start(self, node: str) -> None:
        """Undo `stop`, and wait until the node is Ready."""
        run("docker", "start", node)
        self._wait_back(node)

    def restart_all_workers(self) -> None:
        """Pull the plug of every worker at once, put it back, and wait until all nodes are Ready."""
        workers = self.workers
        addresses = {node: self._address(node) for node in workers}
        for node in workers:
            self._harm(node)
        run("docker", "kill", *workers)
        for node in sorted(workers, key=lambda one: [int(part) for part in addresses[one].split(".")]):
            run("docker", "start", node)  # in this order each gets the address that it had
        for node in workers:
            self._wait_back(node)

    def cut(self, node: str, *, incoming: bool = True, outgoing: bool = True) -> None:
        """Drop every packet that comes from (or goes to) other machines: the node's own, and its pods'."""
        self._harm(node)
        for rule in self._rules(incoming=incoming, outgoing=outgoing):
            run("docker", "exec", node, *rule("-I"))

    def mend(self, node: str) -> None:
        """Undo `cut`, and wait until the node is Ready."""
        self._uncut(node)
        self._wait_back(node)

    def stop_api_server(self) -> None:
        """Take the API server's static pod away, and kill it at once."""
        self._own()
        self._api_server_is_down = True
        run("docker", "exec", self._control, "mv", _API_SERVER, _ASIDE)
        run("docker", "exec", self._control, "sh", "-c", "pkill -KILL -f '[k]ube-apiserver .*--etcd' || true")
        eventually(lambda: not self._api_server_answers(), 30)

    def start_api_server(self) -> None:
        """Undo `stop_api_server`, and wait until it answers."""
        run("docker", "exec", self._control, "mv", _ASIDE, _API_SERVER)
        eventually(self._api_server_answers, BACK_SECONDS)
        self._api_server_is_down = False

    def audit_log(self) -> Path:
        """The API server's audit log as of now: one event of the `audit.k8s.io/v1` API as JSON a line."""
        self._own()
        to = BUILD / str(self._cluster.kind) / "audit.log"
        run("docker", "cp", f"{self._control}:{_AUDIT}", str(to))
        return to

    def heal(self) -> None:
        """Undo whatever a scenario did and left: nodes run, are connected and Ready; the API server answers."""
        if self._api_server_is_down:
            with suppress(CommandFailed):
                self.start_api_server()
        for node in sorted(self._harmed):
            state = run("docker", "inspect", "--format", "{{.State.Status}}", node).strip()
            if state == "paused":
                run("docker", "unpause", node)
            elif state != "running":
                run("docker", "start", node)
            self._uncut(node)
            self._wait_back(node)
        self._harmed.clear()

    @property
    def _control(self) -> str:
        """Known without the API server."""
        return f"{self._cluster.kind}-control-plane"

    def _named(self, selector: str) -> list[str]:
        return sorted(one["metadata"]["name"] for one in self._kubectl.all("nodes", selector))

    def _harm(self, node: str) -> None:
        self._own()
        self._real()
        self._harmed.add(node)

    def _own(self) -> None:
        if not self._cluster.own:
            pytest.skip("faults of nodes are done to a kind cluster that this suite makes: unset E2E_CONTEXT")

    def _real(self) -> None:
        if self._simulated:
            pytest.skip("simulated peers live in one pod: no node's fault reaches them; set QDRANT_BIN")

    def _wait_back(self, node: str) -> None:
        wait = ("wait", "--for=condition=Ready", f"node/{node}", f"--timeout={BACK_SECONDS:.0f}s")
        eventually(lambda: self._kubectl(*wait, timeout=BACK_SECONDS + 20), BACK_SECONDS)

    @staticmethod
    def _rules(*, incoming: bool, outgoing: bool) -> list[_Rule]:
        places = [("raw", "PREROUTING", "-i")] if incoming else []
        places += [("mangle", "POSTROUTING", "-o")] if outgoing else []
        # kubelets speak to the API server over either
        return [_Rule(command, *place) for place in places for command in ("iptables", "ip6tables")]

    def _uncut(self, node: str) -> None:
        for rule in self._rules(incoming=True, outgoing=True):
            with suppress(CommandFailed):  # until there is none left
                while True:
                    run("docker", "exec", node, *rule("-D"))

    def _api_server_answers(self) -> bool:
        try:
            return self._kubectl("get", "--raw", "/readyz", "--request-timeout=3s", timeout=10) == "ok"
        except CommandFailed:
            return False

    @staticmethod
    def _address(node: str) -> str:
        text = run(
            "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", node
        )
        found = re.search(r"[0-9.]+", text)
        assert found is not None, f"{node} has no address"
        return found[0]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One packet filter: everything through the node's only cable is dropped."""

    command: str
    table: str
    chain: str
    direction: str

    def __call__(self, verb: str) -> tuple[str, ...]:
        return (self.command, "-t", self.table, verb, self.chain, self.direction, "eth0", "-j", "DROP")
