"""Conditions: what is true of an object, each with a closed reason and a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as decided now; times and generation are added by `merge`."""

    type: str
    status: bool | None
    """True, False, or None for Unknown."""
    reason: str
    """CamelCase, from a closed set."""
    message: str = ""


def _word(status: bool | None) -> str:
    return "Unknown" if status is None else str(status)


def timestamp(moment: datetime) -> str:
    """RFC 3339 with seconds, as Kubernetes writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(
    previous: Iterable[Mapping[str, Any]], current: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions for status: `lastTransitionTime` moves only when a condition's status does."""
    before = {str(old.get("type")): old for old in previous}
    return [_merged(before.get(new.type, {}), new, generation, now) for new in current]


def _merged(old: Mapping[str, Any], new: Condition, generation: int, now: datetime) -> dict[str, Any]:
    word = _word(new.status)
    kept = old.get("lastTransitionTime") if old.get("status") == word else None
    return {
        "type": new.type,
        "status": word,
        "reason": new.reason,
        "message": new.message,
        "observedGeneration": generation,
        "lastTransitionTime": kept or timestamp(now),
    }
