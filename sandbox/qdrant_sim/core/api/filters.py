"""Payload filters and distances: enough of Qdrant's to check what was written, by brute force."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.qdrant_sim.core.api.answers import Json, malformed
from sandbox.qdrant_sim.core.disk import Point


def matches(point: Point, condition: Json) -> bool:
    """Whether a point passes a filter (None: all do).

    Raises:
        Fault: 400 for a condition that the simulator does not know.
    """
    if not condition:
        return True
    must, should = _listed(condition.get("must")), _listed(condition.get("should"))
    must_not = _listed(condition.get("must_not"))
    return (
        all(_holds(point, one) for one in must)
        and (not should or any(_holds(point, one) for one in should))
        and not any(_holds(point, one) for one in must_not)
    )


def score(distance: str, one: Sequence[float], other: Sequence[float]) -> float:
    """Similarity or distance of two vectors, as Qdrant reports it."""
    if distance == "Euclid":
        return math.dist(one, other)
    if distance == "Manhattan":
        return sum(abs(a - b) for a, b in zip(one, other, strict=True))
    return sum(a * b for a, b in zip(one, other, strict=True))


def nearest_is_smallest(distance: str) -> bool:
    """Whether a smaller score is a better one."""
    return distance in ("Euclid", "Manhattan")


def normalized(vector: Sequence[float]) -> list[float]:
    """A vector of length 1, as Qdrant stores vectors of Cosine collections."""
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length > 0 else list(vector)


def _listed(conditions: Json) -> list[Json]:
    if conditions is None:
        return []
    return conditions if isinstance(conditions, list) else [conditions]


def _holds(point: Point, condition: Json) -> bool:
    if "has_id" in condition:
        return point.id in condition["has_id"]
    if {"must", "should", "must_not"} & set(condition):
        return matches(point, condition)
    if "is_empty" in condition:
        return not list(_values(point.payload, condition["is_empty"]["key"]))
    if "key" not in condition or not {"match", "range"} & set(condition):
        raise malformed("data did not match any variant of untagged enum Condition", 1)
    values = list(_values(point.payload, condition["key"]))
    if "match" in condition:
        return any(_matched(value, condition["match"]) for value in values)
    return any(_in_range(value, condition["range"]) for value in values)


def _values(payload: Json, key: str) -> Iterable[Any]:
    found: Any = payload or {}
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _matched(value: Any, match: Json) -> bool:
    if "value" in match:
        return bool(value == match["value"])
    if "any" in match:
        return value in match["any"]
    if "except" in match:
        return value not in match["except"]
    return str(match.get("text", "")).lower() in str(value).lower()


def _in_range(value: Any, bounds: Json) -> bool:
    checks = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
    return all(checks[name](bound) is True for name, bound in bounds.items() if bound is not None)
