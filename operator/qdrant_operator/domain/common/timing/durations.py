"""Spans of time as users write them: 90s, 30m, 1h30m."""

from __future__ import annotations

import re
from datetime import timedelta

_PART = re.compile(r"([0-9]+)([hms])")
_UNIT = {"h": "hours", "m": "minutes", "s": "seconds"}


def duration(text: str) -> timedelta:
    """A span from its words, which the schema has checked."""
    return sum((timedelta(**{_UNIT[unit]: int(n)}) for n, unit in _PART.findall(text)), timedelta())
