"""The lock files, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
LOCKS = ("constraints.txt", "constraints-sandbox.txt", "constraints-runtime.txt", "constraints-tools.txt")
"""Everything; what the demo needs of it; what the image needs of it; packages that only carry a program."""
_HEAD = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; ([^\\]+?))? \\$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a lock."""

    name: str
    version: str
    marker: str | None
    """Where it applies; None is everywhere."""

    def applies(self, python: str) -> bool:
        """Whether it is installed with this Python, such as 3.12.1."""
        short = ".".join(python.split(".")[:2])
        where = {"python_full_version": python, "python_version": short}
        return self.marker is None or Marker(self.marker).evaluate(where)


def entries(lock: str) -> list[str]:
    """Entries as written, each with its hashes."""
    return re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())


def pin(entry: str) -> Pin:
    """Read the first line of an entry.

    Raises:
        ValueError: it is something else, such as an option of pip.
    """
    if match := _HEAD.match(entry.splitlines()[0]):
        return Pin(match[1], match[2], match[3])
    raise ValueError(entry)


def pins(lock: str) -> list[Pin]:
    """Every entry of a lock."""
    return [pin(entry) for entry in entries(lock)]
