"""What processes use, as Linux counts it in /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_MEBIBYTE_IN_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    """User and system time since its start."""
    rss_mib: float
    """Resident memory now."""
    peak_mib: float
    """The most resident memory it ever had."""


def usage(pid: int) -> Usage:
    """What a process uses."""
    # the name may hold blanks and parentheses: fields are counted after the last one
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return Usage(cpu, _mebibytes(status["VmRSS"]), _mebibytes(status["VmHWM"]))


def children() -> dict[str, int]:
    """Our own direct children by program (`-m` modules by their name); the newest of each name."""
    found = {}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it ended while we looked
        if parent == os.getpid() and words[0]:
            found[_program(words)] = int(folder.name)
    return found


def _program(words: list[str]) -> str:
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name


def _mebibytes(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / _MEBIBYTE_IN_KIB
