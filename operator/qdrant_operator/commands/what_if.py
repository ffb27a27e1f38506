"""`--what-if`: changes of the desired state in memory, for which the planner of the loop then plans.

Pure: manifests and views in, changed copies out. Nothing is written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qdrant_operator.domain.common.collection_names import collection_name
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.qdrant.views import CollectionView, PeerView

FACTOR = "replicationFactor."
MODES = ("Auto", "DrainOnly", "Manual")


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Desired values that replace those of the objects."""

    spec: Mapping[tuple[str, ...], Any] = field(default_factory=dict)
    """Paths within the QdrantCluster's spec."""
    factors: Mapping[str, int] = field(default_factory=dict)
    """Replication factors by name of the collection in Qdrant."""
    given: tuple[str, ...] = ()
    """The changes as given on the command line."""

    def cluster(self, subject: Manifest) -> Manifest:
        """The QdrantCluster with these changes."""
        changed = copy.deepcopy(subject)
        for path, value in self.spec.items():
            place = changed["spec"]
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = value
        return changed

    def collection(self, manifest: Manifest) -> Manifest:
        """A QdrantCollection with these changes."""
        factor = self.factors.get(collection_name(manifest))
        return (
            manifest
            if factor is None
            else {**manifest, "spec": {**manifest["spec"], "replicationFactor": factor}}
        )

    def object(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Any object, with these changes."""
        if kind is Kind.CLUSTER:
            return self.cluster(manifest)
        return self.collection(manifest) if kind is Kind.COLLECTION else manifest

    def view(self, view: PeerView) -> PeerView:
        """The view of a peer after Qdrant has these replication factors."""
        return replace(view, collections=tuple(map(self._collection_view, view.collections)))

    def _collection_view(self, view: CollectionView) -> CollectionView:
        return replace(view, replication_factor=self.factors.get(view.name, view.replication_factor))

    def check(self, collections: Sequence[str]) -> None:
        """Refuse replication factors of collections that do not exist.

        Raises:
            Refused: `InvalidWhatIf`; the message lists the existing collections.
        """
        for name in self.factors:
            if name not in collections:
                known = ", ".join(collections) or "none"
                raise _wrong(f"{FACTOR}{name}", f"the cluster has no collection {name!r}; it has {known}")


NOTHING = WhatIf()


def parse(changes: Sequence[str]) -> WhatIf:
    """Parse changes of the command line; the last value of a field counts.

    Raises:
        Refused: `InvalidWhatIf`: an unknown field or an invalid value; the message lists valid ones.
    """
    spec: dict[tuple[str, ...], Any] = {}
    factors: dict[str, int] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise _wrong(change, "write FIELD=VALUE, for example replicas=5")
        if name.startswith(FACTOR) and name != FACTOR:
            factors[name.removeprefix(FACTOR)] = _number(name, value)
        elif name in FIELDS:
            path, read = FIELDS[name]
            spec[path] = read(name, value)
        else:
            raise _wrong(change, f"{name!r} cannot be changed; use {', '.join(FIELDS)} or {FACTOR}COLLECTION")
    return WhatIf(spec, factors, tuple(changes))


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise _wrong(f"{name}={value}", "use a whole number of at least 1")
    return int(value)


def _mode(name: str, value: str) -> str:
    if value not in MODES:
        raise _wrong(f"{name}={value}", f"use {', '.join(MODES[:-1])} or {MODES[-1]}")
    return value


def _text(_name: str, value: str) -> str:
    return value


FIELDS: Mapping[str, tuple[tuple[str, ...], Callable[[str, str], Any]]] = {
    "replicas": (("replicas",), _number),
    "placement": (("shards", "placement"), _mode),
    "transfers.perCluster": (("shards", "transfers", "perCluster"), _number),
    "transfers.perPeer": (("shards", "transfers", "perPeer"), _number),
    "version": (("version",), _text),
}
"""Fields that can be changed: their path in spec, and the parser of their value."""


def _wrong(change: str, remedy: str) -> Refused:
    return Refused("InvalidWhatIf", f"--what-if {change}: {remedy}")
