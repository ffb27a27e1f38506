"""Fixtures for tests on a real API server: one control plane a session, a fresh namespace a test.

The sandbox starts when the first test asks for it, so tests that need none stay fast.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from sandbox.s3 import ObjectStore


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A running Kubernetes: `sandbox.kubeconfig`, `sandbox.operator_kubeconfig`, `sandbox.node`."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def namespace(sandbox: Sandbox) -> Iterator[str]:
    """A namespace of the test's own; its deletion begins when the test ends."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl(sandbox.kubeconfig, "create", "namespace", name)
    yield name
    kubectl(sandbox.kubeconfig, "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server: `endpoint`, `region`, `access_key`, `secret_key`; buckets by `create_bucket`."""
    folder: Path = tmp_path_factory.mktemp("s3")
    store = ObjectStore(folder, folder)
    try:
        store.spawn()
        store.wait_ready()
        yield store
    finally:
        store.stop()


@pytest.fixture
def bucket(object_store: ObjectStore) -> str:
    """A fresh bucket of the test's own."""
    name = f"test-{secrets.token_hex(6)}"
    object_store.create_bucket(name)
    return name
