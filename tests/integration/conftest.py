"""The operator on the sandbox: installed as the chart installs it, under the rights that the chart grants."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from qdrant_operator.api.crds import crd_files
from qdrant_operator.api.rbac import bound, cluster_role
from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Sandbox
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.audit import refused
from tests.integration.support.kube import Kube
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges the whole run goes last."""
    items.sort(key=lambda item: "whole_run" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A Kubernetes that runs pods, keeps an audit log and has an S3 server."""
    with Sandbox(with_s3=True, audit=True) as running:
        yield running
        assert running.audit_log is not None
        assert refused(running.audit_log) == [], "the operator lacks a right that it used"


@pytest.fixture(scope="session")
def installed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    """CRDs and the operator's rights."""
    folder = tmp_path_factory.mktemp("install")
    for path, text in crd_files().items():
        if path.startswith("crds/"):
            (folder / Path(path).name).write_text(text)
    (folder / "rights.yaml").write_text(yaml.safe_dump_all(_rights()))
    kubectl(sandbox.kubeconfig, "create", "namespace", OPERATOR_NAMESPACE)
    kubectl(sandbox.kubeconfig, "apply", "-f", str(folder))
    kubectl(sandbox.kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@pytest.fixture(scope="session")
def whole_run(sandbox: Sandbox) -> Path:
    """The audit log, for a test that runs after all the others."""
    assert sandbox.audit_log is not None
    return sandbox.audit_log


@pytest.fixture(scope="session")
def kube(sandbox: Sandbox) -> Iterator[Kube]:
    """An administrator's access."""
    access = Kube(sandbox.kubeconfig)
    yield access
    access.close()


@pytest.fixture(scope="module")
def operator(
    sandbox: Sandbox, installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One operator for all namespaces, for the tests of one file."""
    process = Operator(sandbox.operator_kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    process.start()
    yield process
    assert process.stop() == 0, process.log.read_text()[-3000:]


@pytest.fixture
def own_operator(operator: Operator, sandbox: Sandbox, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """An operator of the test's own, for its namespace only, not started yet; the common one rests meanwhile."""
    assert operator.stop() == 0, operator.log.read_text()[-3000:]
    process = Operator(sandbox.operator_kubeconfig, tmp_path / "operator.log", namespace)
    yield process
    process.kill()
    operator.start()


@pytest.fixture(scope="module")
def home(operator: Operator, sandbox: Sandbox, kube: Kube) -> Iterator[str]:
    """A namespace with a formed cluster of three peers, for the tests of one file."""
    name = f"home-{secrets.token_hex(4)}"
    kubectl(sandbox.kubeconfig, "create", "namespace", name)
    kube.create(manifests.cluster(), name)
    kube.wait_ready(Kind.CLUSTER, name, "vectors", 90)
    yield name
    kubectl(sandbox.kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def peers(kube: Kube, home: str) -> Peers:
    """The peers of the cluster that the tests of one file share."""
    return Peers(kube, home)


@pytest.fixture
def docs() -> str:
    """Name of a collection that no other test uses."""
    return f"docs-{secrets.token_hex(3)}"


def _rights() -> list[dict[str, object]]:
    role = cluster_role()
    return [role, bound(role, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE)]
