"""An object by its name, namespace and uid."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.reconcile.ports import Manifest


@dataclass(frozen=True, slots=True)
class Named:
    """A manifest whose metadata the API server has completed."""

    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace, which is its cluster's."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Identifies the object; never used again."""
        return str(self.manifest["metadata"]["uid"])
