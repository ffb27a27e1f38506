"""The two worlds in which the contract with Kubernetes is tested."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from tests.contract.kubernetes.worlds import FakeWorld, World, real_world

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="module")
def with_our_kinds(sandbox: Sandbox) -> Path:
    """Kubeconfig of a cluster that serves our kinds."""
    kubectl(sandbox.kubeconfig, "apply", "--server-side", "-f", str(CRDS))
    kubectl(sandbox.kubeconfig, "wait", "--for=condition=Established", "-f", str(CRDS))
    return sandbox.kubeconfig


@pytest.fixture(params=["fake", "real"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each world in turn."""
    if request.param == "fake":
        yield FakeWorld("default")
        return
    kubeconfig = request.getfixturevalue("with_our_kinds")
    async with real_world(kubeconfig, request.getfixturevalue("namespace")) as real:
        yield real
