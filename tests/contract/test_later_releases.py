"""What later releases of the locked projects change: nothing.

The index is a folder with made-up wheels. Each locked project is in it twice: as it is locked, with the requirements of
the real package, and in a release that came later. What is run are the commands of the Makefile and of the Dockerfile,
with the pip that each Python brings along.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from tests.install.index import LATER, make_index, make_wheel, requirements
from tests.install.locks import LOCKS, ROOT, Pin, entries, pin, pins
from tests.install.pythons import Python, pythons

RUNNING, *OTHERS = pythons()
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Index:
    """A project whose locks name the made-up wheels."""

    pages: Path
    project: Path

    def drop(self, lock: str, name: str) -> None:
        """Take one project out of a lock."""
        text = (self.project / lock).read_text()
        (self.project / lock).write_text(re.sub(rf"(?m)^{name}==.*\n.*\n", "", text))


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An index, and a copy of what `make install` reads."""
    hashes = make_index(tmp_path / "index")
    project = tmp_path / "project"
    project.mkdir()
    for file in ("Makefile", "Dockerfile", "pyproject.toml"):
        shutil.copy(ROOT / file, project)
    for lock in LOCKS:
        text = "".join(with_hash(entry, hashes) for entry in entries(lock))
        (project / lock).write_text(text)
    return Index(tmp_path / "index", project)


def with_hash(entry: str, hashes: dict[Pin, str]) -> str:
    """Return the entry with the hash of the made-up wheel."""
    return f"{entry.splitlines()[0]}\n    --hash=sha256:{hashes[pin(entry)]}\n"


def recipe(index: Index, environment: Path) -> list[str]:
    """Commands of `make install` that call pip, but for the project's own editable installation."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "-n", "-B", f"VENV={environment}", "install"],
        cwd=index.project, env=clean, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [line for line in shown.stdout.splitlines() if " -m pip " in line and " -e " not in line]


def image_recipe(index: Index, environment: Path) -> list[str]:
    """Commands of the Dockerfile that call pip to install or to check."""
    text = (index.project / "Dockerfile").read_text().replace("\\\n", " ")
    runs = [line for line in text.splitlines() if line.startswith("RUN ")]
    commands = [command.strip() for run in runs for command in run.removeprefix("RUN ").split("&&")]
    calls = [command for command in commands if re.match(r"/app/bin/pip (install|check)", command)]
    return [
        call.replace("/app/bin/pip", f"{environment}/bin/python -m pip").replace("/src/", f"{index.project}/")
        for call in calls
    ]


def run(commands: Iterable[str], python: Python, index: Index) -> subprocess.CompletedProcess[str]:
    """Run the commands until one fails, with pip from the Python and wheels from the index alone."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    pip = python.unpack_pip(index.project / "pip")
    environ = {
        **clean, "PYTHONPATH": str(pip), "PIP_INDEX_URL": index.pages.as_uri(), "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1",
    }  # fmt: skip
    return subprocess.run(
        " && ".join(commands), shell=True, cwd=index.project, env=environ, capture_output=True, text=True,
        check=False, timeout=500,
    )  # fmt: skip


def installed(folder: Path) -> dict[str, str]:
    """Names and versions of what is installed in a folder."""
    found = metadata.distributions(path=[str(folder)])
    return {one.metadata["Name"].lower(): one.version for one in found}


def locked(python: Python, lock: str) -> dict[str, str]:
    """Names and versions of what a lock puts beside this Python."""
    return {pin.name: pin.version for pin in pins(lock) if pin.applies(python.version)}


def packages_of(environment: Path) -> Path:
    """The folder that an environment's Python imports from."""
    return next((environment / "lib").glob("python3.*/site-packages"))


def test_make_install_gets_what_is_locked(index: Index, tmp_path: Path) -> None:
    """Exactly the locked versions are installed, and pip finds nothing missing."""
    environment = tmp_path / "environment"
    RUNNING.make_environment(environment)
    done = run(recipe(index, environment), RUNNING, index)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(packages_of(environment)) == locked(RUNNING, "constraints.txt")
    assert installed(environment / "tools") == locked(RUNNING, "constraints-tools.txt")


@pytest.mark.parametrize("python", OTHERS, ids=lambda python: python.version)
def test_another_python_gets_what_is_locked(python: Python, index: Index, tmp_path: Path) -> None:
    """The same with the pip of each other release that this machine has: the lock of everything, then the check."""
    environment = tmp_path / "environment"
    python.make_environment(environment)
    whole = [
        command for command in recipe(index, environment) if command.endswith((" constraints.txt", " check"))
    ]
    done = run(whole[-2:], python, index)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(packages_of(environment)) == locked(python, "constraints.txt")


def test_the_image_gets_what_is_locked(index: Index, tmp_path: Path) -> None:
    """The same in the image: the runtime's lock and our wheel, nothing more."""
    environment = tmp_path / "environment"
    RUNNING.make_environment(environment)
    make_wheel(index.project, "qdrant-operator", "0", requirements("qdrant-operator"))
    done = run(image_recipe(index, environment), RUNNING, index)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = locked(RUNNING, "constraints-runtime.txt") | {"qdrant-operator": "0"}
    assert installed(packages_of(environment)) == expected


def test_a_lock_with_a_gap_ends_the_build(index: Index, tmp_path: Path) -> None:
    """Nothing is resolved, so a package that a lock leaves out is missing; pip's check says which."""
    environment = tmp_path / "environment"
    RUNNING.make_environment(environment)
    index.drop("constraints-runtime.txt", "frozenlist")
    make_wheel(index.project, "qdrant-operator", "0", requirements("qdrant-operator"))
    done = run(image_recipe(index, environment), RUNNING, index)
    assert done.returncode != 0
    assert "requires frozenlist, which is not installed" in done.stdout + done.stderr


def test_the_index_has_a_later_release_of_each(index: Index) -> None:
    """What the other tests build on."""
    names = {pin.name for lock in LOCKS for pin in pins(lock)}
    assert {path.parent.name for path in index.pages.glob(f"*/*-{LATER}-*.whl")} == names
