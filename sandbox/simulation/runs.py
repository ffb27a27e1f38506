"""Seeds as runs: each in a world of its own, all of them in two processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from sandbox.simulation.director import Director
from sandbox.simulation.isolation import isolated
from sandbox.simulation.world.clock import run

PROCESSES = 2
CHUNK = 5


@dataclass(frozen=True, slots=True)
class Run:
    """What one seed gave."""

    seed: int
    seconds: float
    """CPU seconds."""
    violation: str
    """The first broken law; empty: none."""
    all_broken: tuple[str, ...]
    """Everything that was broken at that moment."""
    story: str
    writes: int = 0
    failed: int = 0


def run_seed(seed: int) -> Run:
    """Run one seed."""
    began = time.process_time()
    director = Director(seed)
    violation = ""
    with isolated(seed):
        try:
            run(director.live())
        except Exception as error:  # an accident in the product or here: a finding like any other
            violation = f"{type(error).__name__}: {error}"
    broken = director.violations.found
    return Run(
        seed,
        time.process_time() - began,
        broken[0] if broken else violation,
        tuple(broken or filter(None, [violation])),
        "\n".join(director.events),
        director.writer.writes,
        director.writer.failed,
    )


def run_seeds(seeds: Iterable[int], processes: int = PROCESSES) -> Iterator[Run]:
    """Run many seeds; results in the order of the seeds."""
    if processes == 1:
        yield from map(run_seed, seeds)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(run_seed, seeds, chunksize=CHUNK)
