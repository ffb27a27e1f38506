"""A sandbox with the operator installed as the chart installs it, and clusters to put on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from bench.audit import requests, writes
from qdrant_operator.api.crds import crd_files
from qdrant_operator.api.rbac import bound, cluster_role
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.binaries import Part, Source
from sandbox.cluster import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Sandbox
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, is_true
from tests.integration.support.operator import Operator

PEERS = 3
SIMULATED = Part("Qdrant", Source.SIMULATED, None)
_LOOK_SECONDS = 0.5
_TOLD = 3


def real(binary: str) -> Part:
    """Peers that are processes of this binary."""
    return Part("Qdrant", Source.GIVEN, Path(binary))


class Installed:
    """A running Kubernetes with our kinds and the operator's rights, and no operator yet."""

    def __init__(self, sandbox: Sandbox) -> None:
        assert sandbox.audit_log is not None
        self.sandbox, self.audit_log = sandbox, sandbox.audit_log
        self.kube = Kube(sandbox.kubeconfig)
        self._install()

    def operator(self) -> Operator:
        """An operator for all namespaces, not started yet."""
        return Operator(self.sandbox.operator_kubeconfig, self.sandbox.folder / "operator.log")

    def namespace(self, name: str) -> None:
        """Make a namespace."""
        kubectl(self.sandbox.kubeconfig, "create", "namespace", name)

    def create(self, namespace: str, name: str) -> None:
        """Ask for a cluster of three peers."""
        self.kube.create(manifests.cluster(name, PEERS), namespace)

    def ready(self, namespaces: list[str]) -> int:
        """How many clusters are Ready now, as `kubectl wait` would say."""
        found = (item for space in namespaces for item in self.kube.all(Kind.CLUSTER, space))
        return sum(is_true(item, "Ready") for item in found)

    def wait_ready(self, namespaces: list[str], count: int, seconds: float) -> float:
        """Wait until so many clusters are Ready; the seconds it took."""
        began = time.monotonic()
        while (now := self.ready(namespaces)) < count:
            if time.monotonic() - began > seconds:
                raise TimeoutError(
                    f"{now} of {count} clusters were Ready after {seconds:.0f} s; others:\n{self._why(namespaces)}"
                )
            time.sleep(_LOOK_SECONDS)
        return time.monotonic() - began

    def _why(self, namespaces: list[str]) -> str:
        """What the first clusters that are not Ready say of themselves."""
        found = (item for space in namespaces for item in self.kube.all(Kind.CLUSTER, space))
        late = [item["metadata"] for item in found if not is_true(item, "Ready")][:_TOLD]
        return "\n".join(self.kube.tell(Kind.CLUSTER, one["namespace"], one["name"]) for one in late)

    def writes_since(self, offset: int) -> int:
        """The operator's writes since this offset of the audit log."""
        return writes(requests(self.audit_log, offset))

    def _install(self) -> None:
        folder = self.sandbox.folder / "install"
        folder.mkdir()
        for path, text in crd_files().items():
            if path.startswith("crds/"):
                (folder / Path(path).name).write_text(text)
        role = cluster_role()
        rights: list[Manifest] = [role, bound(role, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE)]
        (folder / "rights.yaml").write_text(yaml.safe_dump_all(rights))
        self.namespace(OPERATOR_NAMESPACE)
        kubeconfig = self.sandbox.kubeconfig
        kubectl(kubeconfig, "apply", "-f", str(folder))
        kubectl(kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@contextmanager
def installed(qdrant: Part) -> Iterator[Installed]:
    """A sandbox of its own, with these peers; ends with the block."""
    with Sandbox(qdrant=qdrant, audit=True) as sandbox:
        ready = Installed(sandbox)
        try:
            yield ready
        finally:
            ready.kube.close()
