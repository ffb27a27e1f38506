"""The load on kind tells late points from lost ones."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import e2e.load
from e2e.environment.kubectl import Kubectl
from e2e.load import Load
from qdrant_operator.domain.common.kinds import Manifest

REQUESTS = {"done": 9, "failures": 0, "failed": [], "slowest": 0.1}
ALL_SHOWN: dict[str, list[int]] = {"vectors-0": [], "vectors-1": []}
ONE_LACKS = {"vectors-0": [7, 9], "vectors-1": []}


class Answers(Kubectl):
    """The pod `load` and two peers, as kubectl tells of them: one answer for each question what is missing."""

    def __init__(self, *missing: dict[str, list[int]]) -> None:
        super().__init__(Path("none"))
        self._missing = list(missing)

    def all(self, kind: str, selector: str = "") -> list[Manifest]:
        """The peers' pods."""
        return [{"metadata": {"name": name}} for name in ALL_SHOWN]

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """A page of the load; the last answer is given again and again."""
        if urlsplit(args[-1]).path.endswith("/tally"):
            return json.dumps({"writes": REQUESTS, "reads": REQUESTS, "acknowledged": 9})
        return json.dumps(self._missing.pop(0) if len(self._missing) > 1 else self._missing[0])


def test_points_that_are_there_at_once_are_neither_late_nor_lost() -> None:
    """One look is enough."""
    load = Load(Answers(ALL_SHOWN))
    load.finish()
    assert (load.tally.late, load.tally.shown_after, load.tally.lost) == ((), 0.0, ())


def test_points_that_come_later_are_late() -> None:
    """They are written down with the time that they took; nothing is lost."""
    load = Load(Answers(ONE_LACKS, ONE_LACKS, ALL_SHOWN))
    load.finish()
    assert (load.tally.late, load.tally.lost) == ((7, 9), ())
    assert load.tally.shown_after >= 0.5


def test_points_that_never_come_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario fails and names the peer and the points."""
    monkeypatch.setattr(e2e.load, "SETTLES_WITHIN", 0.0)
    load = Load(Answers(ONE_LACKS))
    with pytest.raises(AssertionError, match=r"acknowledged points are lost: \{'vectors-0': \[7, 9\]\}"):
        load.finish()
    assert load.tally.lost == (7, 9)
