"""`make demo`, as a reader runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.processes import python_environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_demo_tells_its_story_and_cleans_up(tmp_path: Path) -> None:
    """It ends with a summary and exit code 0, and leaves no file and no process behind."""
    environment = {**os.environ, **python_environment(), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Kubernetes" in done.stdout
    assert "points: 10000 written and counted" in done.stdout
    assert "no point lost, no write failed" in done.stdout
    assert "snapshot: Verified, 10000 points" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert processes_about(tmp_path) == []


def test_a_demo_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A wrong QDRANT_BIN ends the demo with a sentence and exit code 1, before anything is started."""
    environment = {
        **os.environ,
        **python_environment(),
        "QDRANT_BIN": "/nonexistent",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "The demo failed: QDRANT_BIN=/nonexistent is not an executable file" in done.stdout
    assert list(tmp_path.iterdir()) == []


def processes_about(folder: Path) -> list[str]:
    """Command lines of running processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
