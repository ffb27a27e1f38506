"""`python -m sandbox.simulation --seeds N --first K`: N seeds, what they took, and the first that broke a law."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from sandbox.simulation.runs import PROCESSES, Run, run_seeds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds; 1 when a law was broken."""
    options = _parser().parse_args(arguments)
    return simulate(options.seeds, options.first, options.processes)


def simulate(seeds: int, first: int, processes: int = PROCESSES) -> int:
    """Run these seeds; the log of the first that breaks a law is printed whole."""
    began, runs = time.monotonic(), []
    for run in run_seeds(range(first, first + seeds), processes):
        runs.append(run)
        if run.violation:
            print(f"seed {run.seed}: {run.violation}", flush=True)
    broken = [run for run in runs if run.violation]
    if broken:
        print(f"\nThe story of seed {broken[0].seed} (seconds of virtual time):\n{broken[0].story}\n")
    _summary(runs, broken, time.monotonic() - began)
    return 1 if broken else 0


def _summary(runs: Sequence[Run], broken: Sequence[Run], elapsed: float) -> None:
    cpu = sum(run.seconds for run in runs)
    writes, failed = sum(run.writes for run in runs), sum(run.failed for run in runs)
    print(f"seeds {len(runs)}, from {runs[0].seed if runs else 0}; violations {len(broken)}")
    print(f"CPU {cpu / max(len(runs), 1):.3f} s a seed, {elapsed:.1f} s in all")
    print(f"writes {writes}, of them without an acknowledgement {failed}")
    if broken:
        print(f"replay: python -m sandbox.simulation --seeds 1 --first {broken[0].seed}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_positive, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=_positive, default=1, help="the first one (default: %(default)s)")
    parser.add_argument("--processes", type=_positive, default=PROCESSES, help="default: %(default)s")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
