"""A peer's volume: what survives a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.qdrant_sim.core.api.answers import Json
from sandbox.qdrant_sim.core.consensus.persisted import Persisted
from sandbox.qdrant_sim.core.consensus.raft import Group

PointId = int | str


@dataclass(frozen=True, slots=True)
class Point:
    """A stored point; `vector` is a list, or a map of named vectors."""

    id: PointId
    vector: Json
    payload: Json
    version: int = 0


@dataclass(slots=True)
class Local:
    """A shard's data on one peer."""

    uuid: str
    points: dict[PointId, Point] = field(default_factory=dict)
    dummy: bool = False
    """The data could not be loaded: consensus does not know, and every operation fails."""
    changes: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot on a peer's disk; its bytes are made when somebody reads them."""

    name: str
    created: str
    size: int
    sha256: str
    chunks: Callable[[], Iterator[bytes]]


@dataclass(slots=True)
class Disk(Persisted):
    """Raft state, shards and snapshots of one peer."""

    group: Group[Any] | None = None
    """The cluster that the volume belongs to; its peers' type is known to who runs them (`Peer.group`)."""
    locals: dict[tuple[str, int], Local] = field(default_factory=dict)
    snapshots: dict[tuple[str, ...], dict[str, SnapshotFile]] = field(default_factory=dict)
    """By (collection, shard), (collection,) or ()."""
    operations: int = 0
    release: str = ""
    """What the start script notes on the volume."""

    @property
    def fresh(self) -> bool:
        """Whether there is no Raft state on the volume."""
        return self.group is None
