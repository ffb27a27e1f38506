"""Clusters of simulated peers for the loops' stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.reconcile.collection_world import Cluster, Town, cluster, emptied, town


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three_peers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three peers for all tests that leave them running."""
    async with cluster(tmp_path_factory.mktemp("peers")) as formed:
        yield formed


@pytest_asyncio.fixture(loop_scope="module")
async def place(three_peers: Cluster) -> AsyncIterator[Town]:
    """Three peers without collections, and an API server of the test's own."""
    async with town(three_peers) as running:
        yield running
    await emptied(three_peers)


@pytest_asyncio.fixture(loop_scope="module")
async def fragile(tmp_path: Path) -> AsyncIterator[Town]:
    """Three peers that may be killed."""
    async with cluster(tmp_path) as formed, town(formed) as running:
        yield running
