"""Who may have a name: several QdrantCollections can ask for the same collection or alias of one cluster.

The older object has it (creationTimestamp, then namespace/name); the others are told whose it is. Pure.
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
    """What stands against `subject` among all QdrantCollections of its namespace (itself may be among them)."""
    others = sorted((one for one in all_collections if _rivals(one, subject)), key=age)
    older = [one for one in others if age(one) < age(subject)]
    name = collection_name(subject)
    rival = next((label(one) for one in older if collection_name(one) == name), None)
    alias_rivals = {alias: label(one) for one in reversed(older) for alias in _aliases(one)}
    claimed = frozenset(alias for one in others for alias in _aliases(one))
    return Claims(rival, alias_rivals, claimed)


def _rivals(one: Manifest, subject: Manifest) -> bool:
    same_cluster = one["spec"]["clusterRef"]["name"] == subject["spec"]["clusterRef"]["name"]
    same_namespace = one["metadata"]["namespace"] == subject["metadata"]["namespace"]
    return bool(same_cluster and same_namespace and one["metadata"]["uid"] != subject["metadata"]["uid"])


def _aliases(manifest: Manifest) -> Iterable[str]:
    return manifest["spec"].get("aliases") or ()
