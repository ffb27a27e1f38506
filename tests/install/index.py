"""An index of made-up wheels: every locked project as it is locked, and in a release that came later.

It has a page for each project, as a registry has, and is read from the disk.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from sandbox.helm import TOOLS_PATH
from tests.install.locks import LOCKS, Pin, pins

LATER = "20990101"
"""A version above every locked one."""


def make_index(folder: Path) -> dict[Pin, str]:
    """Write the wheels; the SHA-256 of each locked one."""
    every = dict.fromkeys(pin for lock in LOCKS for pin in pins(lock))
    for name in {pin.name for pin in every}:
        (folder / name).mkdir(parents=True)
        make_wheel(folder / name, name, LATER, requirements(name))
    hashes = {
        pin: make_wheel(folder / pin.name, pin.name, pin.version, requirements(pin.name)) for pin in every
    }
    for page in folder.iterdir():
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>\n' for wheel in page.iterdir())
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return hashes


def requirements(name: str) -> list[str]:
    """What the real package says it requires, extras included; nothing for one that this platform leaves out."""
    found = next(iter(metadata.distributions(name=name, path=TOOLS_PATH)), None)
    if not found:
        return []
    return [
        f"{key}: {value}"
        for key in ("Requires-Dist", "Provides-Extra")
        for value in found.metadata.get_all(key) or ()
    ]


def make_wheel(folder: Path, name: str, version: str, headers: Iterable[str]) -> str:
    """Write a wheel without modules; its SHA-256."""
    stem = f"{name.replace('-', '_').replace('.', '_')}-{version}"
    info = f"{stem}.dist-info"
    about = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers, ""))
    files = {
        f"{info}/METADATA": about,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
