"""The kinds: names, columns of `kubectl get`, and CEL rules that need more than the spec.

No I/O here. The plurals are those that the operator uses in its requests.
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
    """What a CRD defines for a kind in addition to its fields."""

    kind: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Status]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, str], ...] = ()
    """CEL rules of the whole object."""


AGE = Column("Age", ".metadata.creationTimestamp", "When the object was created.", "date")
PHASE = Column("Status", ".status.phase", "Summary of the state in one word.")
SHARDS = Column("Shards", ".status.shardsSound", "Sound and desired replicas.")
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
        Column("Version", ".status.version", "Running Qdrant release."),
        Column("Peers", ".status.peersReady", "Ready and desired peers."),
        SHARDS,
        PHASE,
        AGE,
    ),
    rules=(
        _short_name(40, "the names of pods, Services and labels are derived from it"),
        rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name: lower-case letters, digits and - only, a letter first, because the names of "
            "Services are derived from it; choose another name, for example vectors",
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
            f"metadata.name: is the name of the collection if spec.name is absent, and may then have {NAME_BYTES} "
            "characters, because Qdrant uses it in file names; set spec.name to a shorter name",
        ),
        rule(
            f"{_NAME.format('self')} == {_NAME.format('oldSelf')}",
            "spec.name: cannot be changed; restore the old name, add another name in spec.aliases, or create "
            "another QdrantCollection",
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
    description="Creates QdrantSnapshots on a schedule.",
    spec=SnapshotScheduleSpec,
    status=SnapshotScheduleStatus,
    columns=(
        CLUSTER_REF,
        Column("Schedule", ".spec.schedule", "Cron expression."),
        Column("Suspend", ".spec.suspend", "Whether the creation of snapshots is suspended.", "boolean"),
        Column("Last", ".status.lastSuccessfulTime", "Time since the newest complete snapshot.", "date"),
        Column("Next", ".status.nextScheduleTime", "When the next snapshot is due."),
        AGE,
    ),
    rules=(_short_name(40, "the names of snapshots consist of it and the time at which they are due"),),
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
        Column("Progress", ".status.progress", "Progress of a running snapshot."),
        Column("Points", ".status.points", "Points that were saved.", "integer"),
        Column("Bytes", ".status.bytes", "Size of the stored files.", "integer", priority=1),
        AGE,
    ),
    rules=(_short_name(56, "the names of its Job and its labels are derived from it"),),
)

KINDS: tuple[CustomKind, ...] = (CLUSTER, COLLECTION, SCHEDULE, SNAPSHOT)
