"""`python -m bench`: what planning moves and takes, and what a pass and the operator's process cost.

`python -m bench planner` and `python -m bench ablation` are pure computation; `python -m bench operator` measures on
the sandbox.
"""

from __future__ import annotations

import argparse
import os

from bench import footprint, passes, report
from bench.installed import SIMULATED, real
from bench.placement import ablation, planner

COLLECTIONS = [1, 50]


def main() -> None:
    """Read the command line, measure, print, write."""
    given = _parser().parse_args()
    if given.what in ("all", "planner"):
        print(f"\nwritten to {planner.write(planner.measure(given.plans))}\n", flush=True)
    if given.what in ("all", "ablation"):
        print(f"\nwritten to {planner.write(ablation.measure(), section='ablation')}\n", flush=True)
    if given.what in ("all", "operator"):
        timed = [] if given.only == "footprint" else _passes(given.passes)
        growth = None if given.only == "passes" else _footprint(given.clusters, given.idle)
        print(f"\nwritten to {report.write(timed, growth)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["all", "planner", "ablation", "operator"])
    parser.add_argument("--plans", type=int, default=25, help="plans to time for each event (default 25)")
    parser.add_argument("--clusters", type=int, default=100, help="how many clusters are many (default 100)")
    parser.add_argument("--passes", type=int, default=1000, help="passes to time (default 1000)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idleness to watch (default 60)")
    parser.add_argument(
        "--only", choices=["passes", "footprint"], help="of the operator measure one thing only"
    )
    return parser


def _passes(count: int) -> list[passes.Passes]:
    print(f"{count} passes over a healthy cluster of three peers, on a real API server", flush=True)
    found = passes.measure(SIMULATED, "simulated", COLLECTIONS, count)
    if binary := os.environ.get("QDRANT_BIN"):
        found += passes.measure(real(binary), "real", COLLECTIONS, count)
    else:
        print("QDRANT_BIN is not set: simulated peers only")
    print(report.pass_table(found), flush=True)
    return found


def _footprint(clusters: int, idle_seconds: float) -> footprint.Growth:
    print(f"\none operator with 1 and with {clusters} clusters of three simulated peers", flush=True)
    growth = footprint.measure(clusters, idle_seconds)
    print(report.growth_table(growth), flush=True)
    return growth


if __name__ == "__main__":
    main()
