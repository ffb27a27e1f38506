"""The page of what the suite on kind saw: it says what one whole run said, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from e2e.load import Requests, Tally
from e2e.sheet import Sheet, last_whole, page


class Told:
    """A load that is over."""

    def __init__(self, failures: int = 0, late: tuple[int, ...] = (), lost: tuple[int, ...] = ()) -> None:
        writes = Requests(40, failures, ("12:00:00 write: 500",) * failures, 1.25)
        after = 1.84 if late else 0.0
        self.tally = Tally(writes, Requests(50, 0, (), 0.5), 40, late, after, lost)


def run(began: str = "2026-11-21T18:00:00+00:00", *, whole: bool = True) -> Sheet:
    """A run with two scenarios."""
    sheet = Sheet(
        "real Qdrant 1.19.0 (binary)", "v1.36.3", "2 cores, 23 GiB", began, whole=whole, seconds=1200
    )
    sheet.row("worker paused", 12.34, Told(failures=3))
    sheet.row("operator killed", 4.0, Told(late=(7, 8, 9), lost=(7, 9)))
    return sheet


def test_one_line_for_each_row() -> None:
    """Each row of the run is a line of the table, with its own numbers."""
    table = [line for line in page(run()).splitlines() if line.startswith("| ")]
    assert table[1:] == [
        "| worker paused | 12 s | 93 | 3 | 1.2 s | 40 | 0 | 0 |",
        "| operator killed | 4 s | 90 | 0 | 1.2 s | 40 | 3, for 1.8 s | 2 |",
    ]


def test_head_says_when_where_and_on_what() -> None:
    """Date, length, parts, version and machine are those of the run."""
    text = page(run())
    assert "saw on 21 November 2026, in 20 minutes" in re.sub(r"\s+", " ", text)
    for fact in ("parts: real Qdrant 1.19.0 (binary)", "Kubernetes: v1.36.3", "machine: 2 cores, 23 GiB"):
        assert f"- {fact}\n" in text


def test_only_a_whole_run_is_shown(tmp_path: Path) -> None:
    """The newest run in which every scenario passed is taken, and none that is newer and not whole."""
    old, new, part = (run(f"2026-11-2{day}T18:00:00+00:00", whole=day < 3) for day in (1, 2, 3))
    for sheet in (part, old, new):
        sheet.save(tmp_path)
    found = last_whole(tmp_path)
    assert found is not None
    assert page(found) == page(new)
    assert last_whole(tmp_path / "nothing") is None
