"""Two installations of the operator watch one namespace: one acts, the other one does nothing, and both say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from qdrant_operator.api.rbac import bound, lease_role
from qdrant_operator.domain.common.kinds import Kind
from sandbox.cluster import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Sandbox
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
LEASES = ("installation-one", "installation-two")


@pytest.fixture
def installations(
    sandbox: Sandbox, installed: None, namespace: str, tmp_path: Path
) -> Iterator[tuple[Operator, Operator]]:
    """Two, each with a Lease of its own: neither is a replica of the other. None of them runs yet."""
    roles = [lease_role(name, OPERATOR_NAMESPACE, name) for name in LEASES]
    rules = [one for role in roles for one in (role, bound(role, OPERATOR_ACCOUNT, OPERATOR_NAMESPACE))]
    kubectl(sandbox.kubeconfig, "apply", "-f", "-", stdin=yaml.safe_dump_all(rules))
    first, second = (
        Operator(sandbox.operator_kubeconfig, tmp_path / f"{lease}.log", namespace, lease=lease)
        for lease in LEASES
    )
    yield first, second
    first.kill()
    second.kill()


def test_the_second_installation_does_nothing_and_both_say_so(
    installations: tuple[Operator, Operator], kube: Kube, namespace: str
) -> None:
    """The cluster and the collection of the first one are left alone, and their conditions name both."""
    first, second = installations
    first.start()
    kube.create(manifests.cluster(replicas=1), namespace)
    kube.create(manifests.collection(replicationFactor=1), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs", 60)
    second.start()
    for kind, name in ((Kind.CLUSTER, "vectors"), (Kind.COLLECTION, "docs")):
        said = kube.wait_reason(kind, namespace, name, "Exclusive", "SecondInstallation", 60)
        assert all(lease in said for lease in LEASES), said
        eventually(lambda: kind.kind in _held_back(second), 10, second.metrics)  # noqa: B023 (awaited in the loop)
        assert kind.kind not in _held_back(first)
    kube.patch(Kind.CLUSTER, namespace, "vectors", {"spec": {"config": {"log_level": "WARN"}}})
    eventually(lambda: "log_level: WARN" in _configuration(kube, namespace), 30)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 60)
    assert "qdrant_operator_steps_total{" not in second.metrics(), "the second one took a step"


def _held_back(operator: Operator) -> str:
    """Lines of the metrics page about objects that another installation acts on."""
    return "\n".join(line for line in operator.metrics().splitlines() if "ManagedByAnother" in line)


def _configuration(kube: Kube, namespace: str) -> str:
    found = kube.get(Kind.CONFIG_MAP, namespace, "vectors-config")
    return str((found or {}).get("data"))
