"""Which Go builds the control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.build import MODULE, BuildError, find_go, required_go

LEAST = (1, 26, 0)


def go_that_says(folder: Path, version: str) -> Path:
    """Make a go command of a version."""
    folder.mkdir()
    command = folder / "go"
    command.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    command.chmod(0o755)
    return command


def test_the_module_states_its_go() -> None:
    """go.mod is the one place that says which Go is needed."""
    assert required_go(MODULE / "go.mod") >= LEAST


def test_go_on_path_comes_first(tmp_path: Path) -> None:
    """A Go on PATH that is new enough is taken."""
    command = go_that_says(tmp_path / "new", "1.26.1")
    assert find_go(LEAST, {"PATH": str(command.parent)}) == command


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an old Go on PATH the environment's own is taken; with none, the old one is named."""
    old, own = go_that_says(tmp_path / "old", "1.19.8"), go_that_says(tmp_path / "own", "1.27.3")
    monkeypatch.setattr("sandbox.build.sysconfig.get_path", lambda _: str(own.parent))
    assert find_go(LEAST, {"PATH": str(old.parent)}) == own
    own.unlink()
    with pytest.raises(BuildError, match=r"Go 1\.26\.0 or later is needed; .*/old/go is 1\.19\.8"):
        find_go(LEAST, {"PATH": str(old.parent)})


def test_the_module_names_no_registry() -> None:
    """go.mod and go.sum name modules and checksums, no address to fetch them from."""
    text = (MODULE / "go.mod").read_text() + (MODULE / "go.sum").read_text()
    assert "://" not in text
