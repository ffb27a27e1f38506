"""`qdrant-operator simulate` runs the checkout's simulation, and says so where there is no checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qdrant_operator.cli import main


def test_a_seed_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    """One seed: its numbers are printed, and the exit code is 0."""
    assert main(["simulate", "--seeds", "1", "--first", "5"]) == 0
    assert "seeds 1, from 5; violations 0" in capsys.readouterr().out


def test_without_the_checkout_it_says_where_to_go(tmp_path: Path) -> None:
    """The installed package has no simulation: a sentence, and exit code 2."""
    code = "import sys; from qdrant_operator.cli import main; sys.exit(main(['simulate']))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "source checkout" in done.stderr
