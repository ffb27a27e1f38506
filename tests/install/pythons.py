"""Python interpreters of this machine, and the pip that each brings along."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MINORS = (11, 12, 13)
_ASK = """
import ensurepip, glob, json, os, platform, sysconfig, venv
folders = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), sysconfig.get_config_var("WHEEL_PKG_DIR") or ""
wheels = [wheel for folder in folders for wheel in glob.glob(os.path.join(folder, "pip-*.whl"))]
print(json.dumps([platform.python_version(), wheels[0]]))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that can make virtual environments."""

    path: str
    version: str
    pip: Path
    """The wheel that a new virtual environment gets pip from."""

    def make_environment(self, folder: Path) -> Path:
        """Make a virtual environment without pip (pip takes the longest to install); its interpreter."""
        subprocess.run([self.path, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
        return folder / "bin" / "python"

    def unpack_pip(self, folder: Path) -> Path:
        """Unpack pip, for PYTHONPATH."""
        with zipfile.ZipFile(self.pip) as wheel:
            wheel.extractall(folder)
        return folder


@cache
def pythons() -> tuple[Python, ...]:
    """The one that runs the tests first, then one of each other release that is installed."""
    found: dict[str, Python] = {}
    for path in _paths():
        if python := _ask(path):
            found.setdefault(python.version.rpartition(".")[0], python)
    return tuple(found.values())


def _paths() -> Iterator[str]:
    yield sys._base_executable  # type: ignore[attr-defined]
    for minor in MINORS:
        name = f"python3.{minor}"
        yield from map(str, sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}")))
        if path := shutil.which(name):
            yield path


@cache
def _ask(path: str) -> Python | None:
    asked = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, timeout=60, check=False)
    if asked.returncode:
        return None
    version, pip = json.loads(asked.stdout)
    return Python(path, version, Path(pip))
