"""The workflows run what the Makefile has, with actions of a fixed version and no more rights than reading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def steps(path: Path) -> list[dict[str, Any]]:
    """Every step of a workflow."""
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_there_is_one_for_a_change_and_one_for_the_night() -> None:
    """Checks at every push, scenarios every night and by hand."""
    by_name = {
        path.stem: yaml.safe_load(path.read_text())[True] for path in WORKFLOWS
    }  # YAML reads `on` as true
    assert set(by_name["check"]) == {"push", "pull_request"}
    assert set(by_name["e2e"]) == {"schedule", "workflow_dispatch"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_commands_are_targets_of_the_makefile(path: Path) -> None:
    """A step runs `make` with targets that exist, and nothing else."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [step["run"].split() for step in steps(path) if "run" in step]
    assert commands
    assert all(command[0] == "make" and set(command[1:]) <= targets for command in commands)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_have_a_version_and_few_rights(path: Path) -> None:
    """Each action is named with a whole version; the token reads, and no secret is used."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", one) for one in used)
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text()
