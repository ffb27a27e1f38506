"""Tables for people, and where numbers come from."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable

Row = tuple[str, ...]


def aligned(rows: Iterable[Row]) -> str:
    """Rows of one length as text, every column as wide as its widest cell."""
    lines = list(rows)
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in lines)
    return "\n".join(line.rstrip() for line in padded)


def machine() -> dict[str, str | int]:
    """Where the numbers come from."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": cores, "machine": platform.machine(), "python": platform.python_version()}
