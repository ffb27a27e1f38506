"""Who may have a name when several QdrantCollections ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.collection.ownership import claims


def manifest(name: str, created: str = "2026-01-01T00:00:00Z", /, **spec: Any) -> dict[str, Any]:
    """A QdrantCollection of cluster vectors."""
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": created}
    return {"metadata": meta, "spec": {"clusterRef": {"name": "vectors"}, **spec}}


OLD = manifest("old", "2025-01-01T00:00:00Z", name="docs", aliases=["live"])
NEW = manifest("new", "2026-01-01T00:00:00Z", name="docs", aliases=["live", "next"])


def test_the_older_of_two_has_the_name_and_the_alias() -> None:
    """The younger is told whose they are; the older has nothing against it."""
    younger, older = claims(NEW, [OLD, NEW]), claims(OLD, [NEW, OLD])
    assert younger.rival == "default/old"
    assert dict(younger.alias_rivals or {}) == {"live": "default/old"}
    assert older.rival is None
    assert not older.alias_rivals
    assert older.claimed_aliases == {"live", "next"}


def test_of_two_made_in_the_same_second_the_name_decides() -> None:
    """Both loops come to the same answer."""
    a, b = manifest("a", name="docs"), manifest("b", name="docs")
    assert claims(a, [b, a]).rival is None
    assert claims(b, [b, a]).rival == "default/a"


@pytest.mark.parametrize(
    "other",
    [
        {**OLD, "spec": {**OLD["spec"], "clusterRef": {"name": "another"}}},
        {**OLD, "metadata": {**OLD["metadata"], "namespace": "elsewhere"}},
        {**OLD, "spec": {**OLD["spec"], "name": "pictures", "aliases": []}},
    ],
    ids=["another cluster", "another namespace", "another name"],
)
def test_objects_that_mean_something_else_are_no_rivals(other: dict[str, Any]) -> None:
    """Same name in another cluster or namespace is another collection."""
    assert claims(NEW, [other, NEW]).rival is None


def test_the_default_name_is_the_objects_own() -> None:
    """An object without spec.name clashes with one that names the same collection."""
    unnamed = manifest("docs", "2024-01-01T00:00:00Z")
    assert claims(OLD, [unnamed, OLD]).rival == "default/docs"
