"""`python -m tests.simulation.walk`: which files of the product run while a cluster is scaled from 3 to 5 to 3 peers.

docs/architecture.md describes this walk. The cluster is simulated, the reconcile code is the real one. Adapters and
handlers are replaced by the simulation and are therefore not in the list.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import qdrant_operator
from sandbox.simulation.isolation import isolated
from sandbox.simulation.world.clock import run
from tests.simulation.calm import SEED, Calm

PACKAGE = Path(qdrant_operator.__file__).parent
BUDGET_SECONDS = 10.0
"""The PodDisruptionBudget is updated some seconds after the cluster has settled."""


@contextmanager
def recorded(files: set[str]) -> Iterator[None]:
    """Add the file of each function of the product that is called."""

    def on_call(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and not frame.f_code.co_name.startswith("<"):
            files.add(frame.f_code.co_filename)

    sys.setprofile(on_call)
    try:
        yield
    finally:
        sys.setprofile(None)


async def scale(cluster: Calm, replicas: int) -> None:
    """Edit `spec.replicas`, and wait until the cluster has so many peers and Ready is True for the new spec."""
    cluster.user.scale_to(replicas)
    cluster.world.log.add(f"spec.replicas = {replicas}")
    await cluster.eventually(lambda: is_settled(cluster, replicas), 300)
    await cluster.until(cluster.clock.seconds() + BUDGET_SECONDS)


def is_settled(cluster: Calm, replicas: int) -> bool:
    """The peers have joined or left, the shards are level, and the status shows no further step."""
    status = cluster.status
    level = len(cluster.peer_ids()) == replicas and cluster.imbalance() <= 1
    ready = status.get("phase") == "Ready" and status.get("peersReady") == f"{replicas}/{replicas}"
    return level and ready and not status.get("plan")


def walk() -> tuple[set[str], list[str]]:
    """Files of the product that ran, relative to its folder, and the events of the simulation."""
    files: set[str] = set()
    events: list[str] = []

    async def script(cluster: Calm) -> None:
        cluster.user.declare("docs", 6, 2)
        await cluster.eventually(lambda: cluster.is_at_factor(2) and is_settled(cluster, 3), 200)
        before = len(cluster.events)
        with recorded(files):
            await scale(cluster, 5)
            await scale(cluster, 3)
        events.extend(cluster.events[before:])

    cluster = Calm(script, 3)
    cluster.outages.active = False  # the outage that belongs to this seed
    with isolated(SEED):
        run(cluster.live())
    inside = {Path(file) for file in files if Path(file).is_relative_to(PACKAGE)}
    return {str(file.relative_to(PACKAGE)) for file in inside}, events


def main() -> None:
    """Print the events, the files and their number in each folder."""
    files, events = walk()
    counts = Counter(name.split("/")[0] for name in files)
    lines = [*events, *sorted(files), *(f"{folder}: {count}" for folder, count in sorted(counts.items()))]
    sys.stdout.write("\n".join([*lines, f"all: {len(files)}", ""]))


if __name__ == "__main__":
    main()
