"""The walk that docs/architecture.md describes."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation.walk import walk

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
SLACK = 5
"""Files by which the number on the page may be wrong."""


def test_the_described_walk_is_the_real_one() -> None:
    """Scaling from 3 to 5 to 3 peers passes through each file that the page lists, and through as many files."""
    described = re.search(r"<!-- walk -->(.*?)<!-- end of the walk -->", PAGE, re.DOTALL)
    counted = re.search(r"Functions of (\d+) files", PAGE)
    assert described is not None
    assert counted is not None
    files, _ = walk()
    assert sorted(set(re.findall(r"`([\w/]+\.py)`", described[1])) - files) == []
    assert abs(len(files) - int(counted[1])) <= SLACK, len(files)
