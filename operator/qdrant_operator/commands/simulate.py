"""`qdrant-operator simulate`: a cluster in memory under faults, run by the simulation of the source checkout.

May not import it at module level: the installed package does not carry it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path


def add_simulate(simulate: argparse.ArgumentParser) -> None:
    """Describe the command."""
    simulate.add_argument(
        "--seeds", type=_positive, default=100, help="how many stories (default: %(default)s)"
    )
    simulate.add_argument("--first", type=_positive, default=1, help="the first seed (default: %(default)s)")
    simulate.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """1 when a law was broken; 2 without the source checkout."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        simulation = importlib.import_module("sandbox.simulation.__main__")
    except ModuleNotFoundError as error:
        if error.name not in ("sandbox", "sandbox.simulation"):
            raise
        print(
            "qdrant-operator: the simulation is part of the source checkout, not of this package: "
            "run `qdrant-operator simulate` in the checkout's folder",
            file=sys.stderr,
        )
        return 2
    finally:
        sys.path.remove(str(Path.cwd()))
    failed: int = simulation.simulate(options.seeds, options.first)
    return failed


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
