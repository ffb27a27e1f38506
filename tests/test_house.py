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

from sandbox.source import map as source_map
from tests.install.locks import LOCKS, entries, pins

ROOT = Path(__file__).parents[1]
FRAGMENT = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|removed|security)\.md$")


def versions(lock: str) -> dict[str, set[str]]:
    """Names of a lock and the versions of each: another Python may have another."""
    found: dict[str, set[str]] = {}
    for one in pins(lock):
        found.setdefault(one.name, set()).add(one.version)
    return found


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
    assert len(set(pins(lock))) == len(entries(lock))
    for entry in entries(lock):
        head, *hashes = entry.splitlines()
        assert hashes
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in hashes), head


@pytest.mark.parametrize("lock", ["constraints-sandbox.txt", "constraints-runtime.txt"])
def test_locks_agree(lock: str) -> None:
    """The demo and the image have what the tests run with, to the hash."""
    assert set(entries(lock)) <= set(entries("constraints.txt"))


def test_each_lock_covers_what_uses_it() -> None:
    """Each dependency of pyproject.toml is pinned where it is installed, the build backend where we are built."""
    runtime = names("dependencies = [")
    sandbox = names("kubeconfig = [") | names("sandbox = [") - {"qdrant-operator"}
    assert runtime - versions("constraints-runtime.txt").keys() == set()
    assert runtime | sandbox | {"hatchling", "editables"} <= versions("constraints-sandbox.txt").keys()
    assert names("dev = [") - {"qdrant-operator"} - versions("constraints.txt").keys() == set()


def names(table: str) -> set[str]:
    """Projects that a list in pyproject.toml names."""
    return {re.match(r'"([A-Za-z0-9-]+)', line)[1].lower() for line in items(table)}  # type: ignore[index]


def test_locks_are_installed_whole() -> None:
    """Pip never resolves: a lock comes with --no-deps and hashes, then pip checks that nothing is missing."""
    recipes = (ROOT / "Makefile").read_text().split("\nlock:")[0]
    locked = shlex.split(re.search(r"^LOCKED := (.*)$", recipes, re.MULTILINE)[1])  # type: ignore[index]
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(locked)
    for command in re.findall(r"^\t(.* -r .*)$", recipes, re.MULTILINE):
        assert command.startswith("$(LOCKED) ")
    assert recipes.count("$(LOCKED) -r ") == recipes.count("\t$(PIP) check\n") == 2


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
    today = 'simulate SEEDS=300 FIRST="$(date -u +%Y%m%d)000"'
    assert commands == ["install", "check test", "simulate SEEDS=1500 FIRST=1", today, "e2e-smoke"]


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
    assert {"--no-deps", "--require-hashes", "--only-binary", "/src/constraints-runtime.txt"} <= set(pinned)
    assert "--no-deps" in own
    commands = [command.strip() for run in runs for command in run.split("&&")]
    assert commands.index("/app/bin/pip check") == commands.index(installs[1].strip()) + 1
    assert {
        rest.split()[0] for stage in (-2, -1) for word, rest in instructions(stage) if word == "FROM"
    } == {"${BASE_IMAGE}"}


def build_wheel(folder: Path) -> Path:
    """As `make image` does."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_product_alone(tmp_path: Path) -> None:
    """The wheel has the package, its type marker and the command, and no tests."""
    names = zipfile.ZipFile(build_wheel(tmp_path)).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"qdrant_operator"}
    assert "qdrant_operator/py.typed" in names
    assert not [name for name in names if "test" in name]


def test_the_licence_comes_with_the_product(tmp_path: Path) -> None:
    """The text of the licence that pyproject.toml names is in the tree, in the wheel and linked in the README."""
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "(LICENSE)" in (ROOT / "README.md").read_text()
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        inside = next(name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert wheel.read(inside).decode() == text


def test_no_folder_is_crowded() -> None:
    """A reader sees what a folder is about: at most a dozen modules in each."""
    found = [folder for tree in source_map.TREES for folder in source_map.folders(tree)]
    assert [folder for folder in found if folder.files > source_map.MOST_FILES] == []


def test_functions_are_short() -> None:
    """Half of the product's functions have five lines or fewer."""
    assert source_map.median_function(source_map.PRODUCT) <= 5
