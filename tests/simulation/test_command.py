"""`python -m sandbox.simulation`, which `make simulate` runs: seeds in, numbers and an exit code out."""

from __future__ import annotations

import pytest

from sandbox.simulation.__main__ import main


def test_a_seed_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    """One seed: its numbers are printed, and the exit code is 0."""
    assert main(["--seeds", "1", "--first", "5"]) == 0
    assert "seeds 1, from 5; violations 0" in capsys.readouterr().out


def test_fewer_than_one_seed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the number."""
    with pytest.raises(SystemExit):
        main(["--seeds", "0"])
    assert "0 is less than 1" in capsys.readouterr().err
