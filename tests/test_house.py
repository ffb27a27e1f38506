"""Rules of the house that no linter knows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("constraints.txt", "constraints-runtime.txt")
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; [^\\]+)? \\$")
FRAGMENT = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|removed|security)\.md$")


def pins(lock: str) -> dict[str, str]:
    """Names and versions of a lock file."""
    found = (PINNED.match(line) for line in (ROOT / lock).read_text().splitlines())
    return {match[1]: match[2] for match in found if match}


def items(table: str) -> list[str]:
    """Lines of a list in pyproject.toml, comments included; `table` is the line that opens it."""
    text = (ROOT / "pyproject.toml").read_text()
    body = text.split(f"\n{table}\n", 1)[1].split("\n]", 1)[0]
    return [line.strip() for line in body.splitlines() if line.strip()]


def test_operator_is_no_package() -> None:
    """operator/ has no __init__.py: with one it would shadow the standard library."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(ROOT) not in found.stdout


def test_every_ignored_rule_has_a_reason() -> None:
    """Each line of ruff's ignore list says why."""
    lines = items("ignore = [")
    assert lines
    assert [line for line in lines if not re.search(r"#\s+\w+", line)] == []


def test_every_dependency_has_a_reason() -> None:
    """Each dependency of the product says what it is for."""
    lines = items("dependencies = [")
    assert lines
    assert [line for line in lines if not re.search(r'",\s+#\s+\w+', line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_no_address(lock: str) -> None:
    """Each pin has SHA-256 hashes, and no line names a registry, a folder or an option of pip."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert len(entries) == len(set(pins(lock))) + lock_twice(lock)
    for entry in entries:
        head, *hashes = entry.splitlines()
        assert PINNED.match(head), head
        assert hashes
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in hashes), head


def lock_twice(lock: str) -> int:
    """Packages that have another version on another Python: how many lines more than names."""
    heads = [match[1] for line in (ROOT / lock).read_text().splitlines() if (match := PINNED.match(line))]
    return len(heads) - len(set(heads))


def test_locks_agree() -> None:
    """The image's dependencies are pinned at the versions that the tests run with."""
    everything = pins("constraints.txt")
    assert pins("constraints-runtime.txt").items() <= everything.items()


def test_locks_cover_the_project() -> None:
    """Each dependency of pyproject.toml and the build backend is pinned."""
    lines = items("dependencies = [") + items("sandbox = [") + items("dev = [")
    named = {re.match(r'"([A-Za-z0-9-]+)', line)[1].lower() for line in lines}  # type: ignore[index]
    locked = pins("constraints.txt").keys()
    assert sorted((named | {"hatchling"}) - {"qdrant-operator"} - locked) == []


def test_fragments_are_well_formed() -> None:
    """Each fragment has a name that sorts it and one to three sentences."""
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    for path in fragments:
        assert FRAGMENT.match(path.name), path.name
        text = path.read_text().strip()
        assert text.endswith("."), path.name
        assert not text.startswith(("#", "-", "*")), path.name
        assert 1 <= len(re.findall(r"\.(?:\s|$)", text)) <= 3, path.name


def test_ci_runs_the_commands_of_the_readme() -> None:
    """.ci/run is executable, asks nothing, runs the README's installation and tests, then simulates, then kind."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -x" not in text
    assert "</dev/null" in text
    commands = [
        line.split("make --no-print-directory ")[1]
        for line in text.splitlines()
        if line.strip().startswith("make")
    ]
    assert commands == ["install", "check test", "simulate SEEDS=3100 FIRST=1", "e2e-smoke"]


def instructions(stage: int) -> list[tuple[str, str]]:
    """Instructions of one stage of the Dockerfile: the word, and the rest."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in lines:
        word, rest = line.split(maxsplit=1)
        if word == "FROM" or not stages:
            stages.append([])
        stages[-1].append((word, rest))
    return stages[stage]


def test_image_is_small_and_unprivileged() -> None:
    """The last stage runs nothing, copies only the environment, and is not root."""
    words = dict(instructions(-1))
    assert "RUN" not in words
    assert words["COPY"] == "--from=build /app /app"
    assert words["USER"] == "65532:65532"
    assert words["ENTRYPOINT"] == '["qdrant-operator"]'
    assert "PYTHONDONTWRITEBYTECODE=1" in words["ENV"]


def test_image_installs_only_what_is_pinned() -> None:
    """Every dependency in the image comes as a wheel with a known hash; the base image is an argument."""
    runs = [rest for word, rest in instructions(-2) if word == "RUN"]
    installs = [command for run in runs for command in run.split("&&") if "pip install" in command]
    assert len(installs) == 2
    pinned, own = (shlex.split(command) for command in installs)
    assert {"--require-hashes", "--only-binary", "/src/constraints-runtime.txt"} <= set(pinned)
    assert "--no-deps" in own
    assert {
        rest.split()[0] for stage in (-2, -1) for word, rest in instructions(stage) if word == "FROM"
    } == {"${BASE_IMAGE}"}


def test_wheel_holds_the_product_alone(tmp_path: Path) -> None:
    """The wheel has the package, its type marker and the command, and no tests."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"qdrant_operator"}
    assert "qdrant_operator/py.typed" in names
    assert not [name for name in names if "test" in name]
