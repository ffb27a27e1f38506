"""Fixtures for tests on a real API server: one control plane a session, a fresh namespace a test.

The sandbox starts when the first test asks for it, so tests that need none stay fast.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sandbox.binaries import find_control_plane
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from sandbox.s3 import ObjectStore

settings.register_profile("any-machine", settings(), deadline=None)
settings.load_profile("any-machine")
"""How long one example takes says something of the machine, and nothing of the code."""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the control plane before the first test that needs it: a build takes longer than a test may."""
    needed = any("sandbox" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.config.option.collectonly:
        find_control_plane(_Progress(session.config))


class _Progress:
    """Tells in the terminal how far a download or a build is, a line for each tenth."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal = config.pluginmanager.get_plugin("terminalreporter")
        self._told = ("", -1)

    def __call__(self, what: str, done: float | None) -> None:
        now = (what, int((done or 0) * 10))
        if self._terminal is not None and now != self._told:
            self._terminal.write_line(f"{what}: {now[1] * 10} %")
        self._told = now


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
