"""`python -m sandbox.simulation.hunt`: break each guard in turn, and see which seed notices.

No file is changed: the real code runs, with functions of it replaced in this process. A guard that no seed misses
is either needless, or the faults are too tame.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from sandbox.simulation.mutants import Mutant, mutants
from sandbox.simulation.runs import PROCESSES, run_seed
from sandbox.simulation.world.remembered import patched

SHOWN = 90
BEGIN, END = "<!-- table of guards -->", "<!-- end of the table -->"


@dataclass(frozen=True, slots=True)
class Caught:
    """Which seed noticed that a guard is missing."""

    guard: str
    seed: int | None
    how: str


def hunt(guard: str, seeds: int, first: int) -> Caught:
    """Try seeds until one breaks a law that holds with the guard."""
    mutant = next(mutant for mutant in mutants() if mutant.guard == guard)
    for seed in range(first, first + seeds):
        how = _broken_by(mutant, seed)
        if how and not run_seed(seed).violation:
            return Caught(guard, seed, how)
    return Caught(guard, None, "")


def _broken_by(mutant: Mutant, seed: int) -> str:
    with patched(mutant.places()):
        run = run_seed(seed)
    return next((how for how in run.all_broken if mutant.expected in how), "")


def hunt_all(seeds: int, first: int, processes: int, only: str = "") -> Iterator[Caught]:
    """Hunt every mutant, a process each; in the order of the guards."""
    guards = [mutant.guard for mutant in mutants() if only in mutant.guard]
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(hunt, guards, [seeds] * len(guards), [first] * len(guards))


def table(found: Sequence[Caught]) -> str:
    """The result in Markdown."""
    lines = ["| guard taken away | first seed | the law that notices |", "|---|---|---|"]
    for caught in found:
        seed = "none" if caught.seed is None else str(caught.seed)
        lines.append(f"| {caught.guard} | {seed} | {nameless(caught.how)} |")
    return "\n".join(lines)


def nameless(how: str) -> str:
    """A violation without the ids of peers, and not longer than a line."""
    text = re.sub(r"\d{6,}", "…", how.split("; blocked:", maxsplit=1)[0])
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def write(page: Path, text: str) -> None:
    """Put the table between its marks in a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a guard's absence was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulation.hunt", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3100, help="tried for each guard (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--only", default="", help="guards whose name contains this")
    parser.add_argument("--page", type=Path, help="a page with the marks of the table, to write it to")
    options = parser.parse_args(arguments)
    found: list[Caught] = []
    with suppress(KeyboardInterrupt):
        for caught in hunt_all(options.seeds, options.first, options.processes, options.only):
            found.append(caught)
            where = (
                f"seed {caught.seed}" if caught.seed is not None else f"NOT CAUGHT in {options.seeds} seeds"
            )
            print(f"{caught.guard:78} {where:24} {nameless(caught.how)}", flush=True)
    missed = [caught.guard for caught in found if caught.seed is None]
    print(f"\n{len(found) - len(missed)} of {len(found)} guards are held by the simulation")
    if options.page:
        write(options.page, table(found))
    return 1 if missed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
