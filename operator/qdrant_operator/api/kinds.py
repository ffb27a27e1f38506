"""The kinds: their names, their columns in `kubectl get`, and the rules that look at more than the spec.

No I/O here. Plurals are those of the kinds that the operator asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.api.backup.snapshot import (
    SnapshotScheduleSpec,
    SnapshotScheduleStatus,
    SnapshotSpec,
    SnapshotStatus,
)
from qdrant_operator.api.base import Model, Status, rule
from qdrant_operator.api.cluster.spec import ClusterSpec
from qdrant_operator.api.cluster.status import ClusterStatus
from qdrant_operator.api.collection.spec import NAME_BYTES, CollectionSpec, CollectionStatus

GROUP = "qdrantoperator.dev"
VERSION = "v1alpha1"
CATEGORY = "qdrant"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    """JSON path in the object."""
    description: str
    type: str = "string"
    priority: int = 0
    """1: only with -o wide."""


@dataclass(frozen=True, slots=True)
class CustomKind:
    """Everything a CRD says of a kind beside its fields."""

    kind: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Status]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, str], ...] = ()
    """CEL rules of the whole object."""


AGE = Column("Age", ".metadata.creationTimestamp", "When the object was made.", "date")
PHASE = Column("Status", ".status.phase", "One word for people.")
SHARDS = Column("Shards", ".status.shardsSound", "Sound replicas of wanted replicas.")
CLUSTER_REF = Column("Cluster", ".spec.clusterRef.name", "The QdrantCluster.")


def _short_name(limit: int, why: str) -> Mapping[str, str]:
    return rule(
        f"self.metadata.name.size() <= {limit}",
        f"metadata.name: at most {limit} characters, because {why}; choose a shorter name",
    )


CLUSTER = CustomKind(
    kind="QdrantCluster",
    plural="qdrantclusters",
    short="qdc",
    description="Qdrant peers that form one cluster.",
    spec=ClusterSpec,
    status=ClusterStatus,
    columns=(
        Column("Version", ".status.version", "Qdrant release that runs."),
        Column("Peers", ".status.peersReady", "Ready peers of wanted peers."),
        SHARDS,
        PHASE,
        AGE,
    ),
    rules=(
        _short_name(40, "the names of pods, Services and labels are made from it"),
        rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name: lower-case letters, digits and - only, a letter first, because Services are named "
            "after it; choose another name, for example vectors",
        ),
    ),
)

_NAME = "(has({0}.spec.name) ? {0}.spec.name : {0}.metadata.name)"
COLLECTION = CustomKind(
    kind="QdrantCollection",
    plural="qdrantcollections",
    short="qcol",
    description="A collection in a QdrantCluster.",
    spec=CollectionSpec,
    status=CollectionStatus,
    columns=(
        CLUSTER_REF,
        Column("Points", ".status.points", "Points, as Qdrant estimates them.", "integer"),
        SHARDS,
        PHASE,
        AGE,
    ),
    rules=(
        rule(
            f"has(self.spec.name) || self.metadata.name.size() <= {NAME_BYTES}",
            f"metadata.name: names the collection when spec.name is absent, and may then have {NAME_BYTES} characters, "
            "because Qdrant names files after it; set spec.name to a shorter name",
        ),
        rule(
            f"{_NAME.format('self')} == {_NAME.format('oldSelf')}",
            "spec.name: cannot be changed; put the old name back, give the collection a further name in "
            "spec.aliases, or make another QdrantCollection",
        ),
        rule(
            f"!has(self.spec.aliases) || !({_NAME.format('self')} in self.spec.aliases)",
            "spec.aliases: an alias must differ from the collection's own name; remove it from the list",
        ),
    ),
)

SCHEDULE = CustomKind(
    kind="QdrantSnapshotSchedule",
    plural="qdrantsnapshotschedules",
    short="qss",
    description="Makes QdrantSnapshots by the clock.",
    spec=SnapshotScheduleSpec,
    status=SnapshotScheduleStatus,
    columns=(
        CLUSTER_REF,
        Column("Schedule", ".spec.schedule", "Cron expression."),
        Column("Suspend", ".spec.suspend", "Whether no new snapshots are made.", "boolean"),
        Column("Last", ".status.lastSuccessfulTime", "Since the newest complete snapshot.", "date"),
        Column("Next", ".status.nextScheduleTime", "When the next snapshot is due."),
        AGE,
    ),
    rules=(_short_name(40, "snapshots are named after it and the time they were due"),),
)

SNAPSHOT = CustomKind(
    kind="QdrantSnapshot",
    plural="qdrantsnapshots",
    short="qsnap",
    description="One backup of collections of a QdrantCluster.",
    spec=SnapshotSpec,
    status=SnapshotStatus,
    columns=(
        CLUSTER_REF,
        PHASE,
        Column("Progress", ".status.progress", "How far a running snapshot is."),
        Column("Points", ".status.points", "Points that were saved.", "integer"),
        Column("Bytes", ".status.bytes", "Size of the stored files.", "integer", priority=1),
        AGE,
    ),
    rules=(_short_name(56, "the Job that makes it and its labels are named after it"),),
)

KINDS: tuple[CustomKind, ...] = (CLUSTER, COLLECTION, SCHEDULE, SNAPSHOT)
