"""What a run showed, a row a scenario, as JSON in build/e2e; `python -m e2e.sheet` makes a page of the last whole run.

Nothing reaches the page that a run did not write.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from e2e.load import SETTLES_WITHIN, Tally
from e2e.shell import BUILD, ROOT

RUNS = BUILD / "runs"
PAGE = ROOT / "docs" / "reliability.md"


class Tallied(Protocol):
    """A load."""

    @property
    def tally(self) -> Tally: ...


@dataclass
class Sheet:
    """The rows of one run."""

    parts: str
    """Which Qdrant it was."""
    kubernetes: str
    """Version of the API server."""
    machine: str
    """Where it ran."""
    began: str
    facts: dict[str, str] = field(default_factory=dict)
    """What was measured once."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    whole: bool = False
    """Every scenario ran, and passed."""
    seconds: float = 0.0
    """How long the run took."""

    def row(self, fault: str, healthy_after: float, load: Tallied) -> None:
        """Write down what a scenario showed; `healthy_after` in seconds from the fault's end (or the change)."""
        tally = load.tally
        self.rows.append(
            {
                "fault": fault,
                "healthy_after": round(healthy_after, 1),
                "requests": tally.writes.done + tally.reads.done + tally.failures,
                "failed": tally.failures,
                "slowest": max(tally.writes.slowest, tally.reads.slowest),
                "acknowledged": tally.acknowledged,
                "late": len(tally.late),
                "shown_after": tally.shown_after,
                "lost": len(tally.lost),
            }
        )

    def fact(self, name: str, value: str) -> None:
        """Write down what was measured once, for the head of the page."""
        self.facts[name] = value

    def save(self, runs: Path = RUNS) -> Path:
        """Write the file of this run."""
        runs.mkdir(parents=True, exist_ok=True)
        path = runs / f"{self.began.replace(':', '')}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path


def page(run: Sheet) -> str:
    """The run as a page of the documentation."""
    day = datetime.fromisoformat(run.began).strftime("%d %B %Y").lstrip("0")
    about = {"parts": run.parts, "Kubernetes": run.kubernetes, "machine": run.machine, **run.facts}
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    rows = "\n".join(_line(row) for row in run.rows)
    return _PAGE.format(day=day, minutes=run.seconds / 60, facts=facts, rows=rows, patience=SETTLES_WITHIN)


def _line(row: dict[str, Any]) -> str:
    cells = (
        row["fault"], f"{row['healthy_after']:.0f} s", f"{row['requests']:,}", row["failed"],
        f"{row['slowest']:.1f} s", f"{row['acknowledged']:,}", _late(row), row["lost"],
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _late(row: dict[str, Any]) -> str:
    return f"{row['late']}, for {row['shown_after']:.1f} s" if row["late"] else "0"


_PAGE = """# Reliability on kind

What `make e2e` saw on {day}, in {minutes:.0f} minutes. The file is written from that run by `python -m e2e.sheet`;
there is no line in it that the run did not produce.

{facts}

Each scenario has a cluster of its own, and a writer and a reader in a pod beside it. They go through the client
Service with a new connection for each request and send every request once: none is repeated. A write counts as
acknowledged when Qdrant answered 200 with `wait=true`. At the end every acknowledged point is asked of every peer:
those that one of them does not show at once are late, with the time until every peer shows them, and those that one
of them still does not show after {patience:.0f} s are lost. (Qdrant acknowledges a write that one replica missed, calls
that replica Dead and heals it; a peer that has not heard of it yet reads what its replica has.)

| what happened | healthy after | requests | failed | slowest | acknowledged | late | lost |
|---|---|---|---|---|---|---|---|
{rows}

"Healthy after" counts from the end of the fault, or from the change, until the QdrantCluster is Ready for its newest
spec with nothing left to do, every replica sound and level.
"""


def last_whole(runs: Path = RUNS) -> Sheet | None:
    """The newest run in which every scenario was there and passed."""
    for path in sorted(runs.glob("*.json"), reverse=True):
        run = Sheet(**json.loads(path.read_text()))
        if run.whole:
            return run
    return None


def main() -> int:
    """Write the page."""
    run = last_whole()
    if run is None:
        print("no run in build/e2e in which every scenario passed: run `make e2e` first", file=sys.stderr)
        return 1
    PAGE.write_text(page(run))
    print(f"{PAGE.relative_to(ROOT)}: {len(run.rows)} rows of the run of {run.began}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
