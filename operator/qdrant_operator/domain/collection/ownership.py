"""Who may have a name: several QdrantCollections can ask for the same collection or alias of one cluster.

The older object has it (creationTimestamp, then namespace/name); the status of the others names its owner. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qdrant_operator.domain.common.collection_names import age, collection_name, label
from qdrant_operator.domain.common.kinds import Manifest


@dataclass(frozen=True, slots=True)
class Claims:
    """What other QdrantCollections of the same cluster claim that one of them claims too."""

    rival: str | None = None
    """An older object that claims the same collection, as namespace/name."""
    alias_rivals: Mapping[str, str] | None = None
    """Alias, and the older object that claims it."""
    claimed_aliases: frozenset[str] = frozenset()
    """Aliases that any other object claims."""


def claims(subject: Manifest, all_collections: Iterable[Manifest]) -> Claims:
    """What claims the names of `subject` among all QdrantCollections of its namespace (itself may be among them)."""
    others = sorted((other for other in all_collections if _rivals(other, subject)), key=age)
    older = [other for other in others if age(other) < age(subject)]
    name = collection_name(subject)
    rival = next((label(other) for other in older if collection_name(other) == name), None)
    alias_rivals = {alias: label(other) for other in reversed(older) for alias in _aliases(other)}
    claimed = frozenset(alias for other in others for alias in _aliases(other))
    return Claims(rival, alias_rivals, claimed)


def _rivals(other: Manifest, subject: Manifest) -> bool:
    same_cluster = other["spec"]["clusterRef"]["name"] == subject["spec"]["clusterRef"]["name"]
    same_namespace = other["metadata"]["namespace"] == subject["metadata"]["namespace"]
    return bool(same_cluster and same_namespace and other["metadata"]["uid"] != subject["metadata"]["uid"])


def _aliases(manifest: Manifest) -> Iterable[str]:
    return manifest["spec"].get("aliases") or ()
