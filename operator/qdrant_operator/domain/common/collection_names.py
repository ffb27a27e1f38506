"""Which QdrantCollection has a name: the oldest object that asks for it (creationTimestamp, then namespace/name)."""

from __future__ import annotations

from collections.abc import Iterable

from qdrant_operator.domain.common.kinds import Manifest


def eldest(collections: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Of the QdrantCollections of one cluster those that have their collection: the oldest claim of each."""
    by_name: dict[str, Manifest] = {}
    for collection in sorted(collections, key=age):
        by_name.setdefault(collection_name(collection), collection)
    return tuple(by_name.values())


def collection_name(manifest: Manifest) -> str:
    """Name of the collection in Qdrant."""
    return str(manifest["spec"].get("name") or manifest["metadata"]["name"])


def age(manifest: Manifest) -> tuple[str, str]:
    """Sort key: the oldest first."""
    return str(manifest["metadata"].get("creationTimestamp") or ""), label(manifest)


def label(manifest: Manifest) -> str:
    """Namespace and name."""
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
