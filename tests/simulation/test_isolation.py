"""A story leaves the process as it found it: tests do not depend on their order."""

from __future__ import annotations

import logging
import random

import pytest

from sandbox.simulation.director import Director
from sandbox.simulation.runs import run_seed
from tests.simulation.calm import Calm, play


async def _fails(_story: object) -> None:
    """A script that ends at once, in an error."""
    raise AssertionError("the script")


def _state() -> tuple[object, ...]:
    return logging.getLogger("qdrant_operator").level, random.getstate()


def test_a_script_that_fails_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The level of logs and the random numbers."""
    monkeypatch.setattr(Calm, "live", _fails)
    before = _state()
    with pytest.raises(AssertionError, match="the script"):
        play(_fails)
    assert _state() == before


def test_a_seed_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the stories of the simulation."""
    monkeypatch.setattr(Director, "live", _fails)
    before = _state()
    assert run_seed(1).violation == "AssertionError: the script"
    assert _state() == before
