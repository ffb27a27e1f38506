"""One Kubernetes for the run, the operator in it, and a namespace for each scenario."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.environment import images, installing, kind, simulator
from e2e.environment.images import Images
from e2e.environment.kind import Cluster, Nodes
from e2e.environment.kubectl import Kubectl
from e2e.environment.storage import Storage
from e2e.environment.storage import install as install_storage
from e2e.scenario import forming
from e2e.scenario.evidence import save_evidence
from e2e.scenario.forming import Form
from e2e.sheet import Sheet
from e2e.shell import CommandFailed

__all__ = ["Form", "Sheet", "Storage"]
SCENARIO_SECONDS = 900
_FAILED = pytest.StashKey[bool]()
_SHEET = pytest.StashKey[Sheet]()
_PARTIAL = pytest.StashKey[bool]()
_BEGAN = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """A run of a part of the scenarios never becomes the page."""
    config.stash[_BEGAN] = time.monotonic()
    config.stash[_PARTIAL] = [Path(arg).resolve() for arg in config.args] != [Path(__file__).parent]


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Scenarios were left out."""
    if items:
        items[0].config.stash[_PARTIAL] = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios may take minutes; what judges the whole run goes last."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS, func_only=True))
    items.sort(key=lambda item: "whole_run" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember failures, for the evidence that `home` saves."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    if report.skipped:
        item.config.stash[_PARTIAL] = True
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Say in the run's file whether every scenario ran and passed."""
    sheet = session.config.stash.get(_SHEET, None)
    if sheet is not None:
        sheet.seconds = round(time.monotonic() - session.config.stash[_BEGAN], 1)
        sheet.whole = exitstatus == 0 and not session.config.stash[_PARTIAL]
        print(f"\nrun written to {sheet.save()}")


@pytest.fixture(scope="session")
def built() -> Images:
    """The images, in docker."""
    return images.build()


@pytest.fixture(scope="session")
def parts(built: Images) -> str:
    """Which Qdrant this run uses, in words."""
    return built.qdrant


@pytest.fixture(scope="session")
def _cluster(built: Images) -> Iterator[Cluster]:
    with kind.cluster() as cluster:
        if cluster.kind:
            images.load(cluster.kind)
        yield cluster


@pytest.fixture(scope="session")
def kubectl(_cluster: Cluster) -> Kubectl:
    """An administrator of the run's Kubernetes, which has the images."""
    return Kubectl(_cluster.kubeconfig)


@pytest.fixture(scope="session")
def nodes(_cluster: Cluster, kubectl: Kubectl, built: Images) -> Nodes:
    """Its nodes."""
    return Nodes(kubectl, _cluster, simulated=built.simulated)


@pytest.fixture(scope="session")
def chart(kubectl: Kubectl, built: Images) -> None:
    """The operator, installed by kubectl and Helm: two replicas, Pod Security restricted."""
    if built.simulated:
        simulator.install(kubectl)
    installing.install(kubectl)


@pytest.fixture(scope="session")
def storage(kubectl: Kubectl) -> Storage:
    """An S3 server in the cluster, with a bucket."""
    return install_storage(kubectl)


@pytest.fixture(scope="session")
def sheet(request: pytest.FixtureRequest, parts: str, kubectl: Kubectl, built: Images) -> Sheet:
    """What this run shows."""
    version = kubectl("get", "nodes", "--output=jsonpath={.items[0].status.nodeInfo.kubeletVersion}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB"
    sheet = Sheet(parts, version, machine, datetime.now(UTC).isoformat(timespec="seconds"))
    sheet.fact("operator's image", f"{built.operator_bytes / 1e6:.0f} MB")
    request.config.stash[_SHEET] = sheet
    return sheet


@pytest.fixture
def home(request: pytest.FixtureRequest, kubectl: Kubectl, nodes: Nodes) -> Iterator[Kubectl]:
    """A new namespace, Pod Security restricted; afterwards whatever a scenario did to nodes is undone."""
    namespace = f"home-{secrets.token_hex(3)}"
    kubectl.apply(installing.restricted(namespace))
    home = kubectl.within(namespace)
    yield home
    if request.node.stash.get(_FAILED, False):
        save_evidence(home, request.node.name)
    nodes.heal()
    with suppress(CommandFailed):
        kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def form(chart: None) -> Form:
    """Makes the cluster `vectors` with the collection `docs`."""
    return forming.form
