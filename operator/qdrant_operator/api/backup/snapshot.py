"""QdrantSnapshotSchedule and QdrantSnapshot: scheduled backups, and one backup.

No I/O here. The fields of the schedule have the names of a CronJob's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.backup.storage import Storage, Verify
from qdrant_operator.api.base import (
    LIST_SET,
    LocalRef,
    Model,
    Quantity,
    Status,
    Time,
    list_map,
    requests_within_limits,
    rule,
    rules,
)
from qdrant_operator.api.collection.tuning import Count

Globs = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...],
    Field(min_length=1, max_length=100, json_schema_extra=LIST_SET),
]
"""Names of collections; * matches any characters, ? matches one character."""


def _cron_field(value: str, alone: str = "") -> str:
    """Pattern of one field of a cron expression: values, ranges, steps, lists; `alone` are additional alternatives."""
    item = f"(([*]|{value}(-{value})?)(/[1-9][0-9]*)?{alone})"
    return f"{item}(,{item})*"


_CRON = " +".join(
    (
        _cron_field("[0-5]?[0-9]"),
        _cron_field("([01]?[0-9]|2[0-3])"),
        _cron_field("(0?[1-9]|[12][0-9]|3[01])", "|LW?"),
        _cron_field("(0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
        _cron_field("([0-7]|sun|mon|tue|wed|thu|fri|sat)", "(#[1-5]|L)?"),
    )
)
_CRON_WORDS = "@(hourly|daily|midnight|weekly|monthly|yearly|annually)"
_CRON_RULE = rules(
    rule(
        f"self.matches('(?i)^({_CRON}|{_CRON_WORDS})$')",
        "spec.schedule: not a cron expression; write five fields (minute hour day month weekday), for example "
        '"0 2 * * *" for every night at two, or a macro such as @daily',
    )
)
_ZONE_RULE = rules(
    rule(
        "self != 'Local'",
        "spec.timeZone: Local is not a valid time zone; set one, for example Europe/Paris or Etc/UTC",
    )
)


_FIXED_CLUSTER = rules(
    rule(
        "self == oldSelf",
        "spec.clusterRef: cannot be changed; restore the old name, or create another QdrantSnapshotSchedule "
        "for the other cluster",
    )
)


class JobResources(Model):
    """CPU and memory of a snapshot's run. The memory is used for buffers, regardless of the size of a shard."""

    model_config = ConfigDict(json_schema_extra=rules(requests_within_limits("spec.job.resources")))

    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] = {"cpu": "100m", "memory": "160Mi"}
    """Resources that the scheduler reserves."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] = {"memory": "512Mi"}
    """Resources that a run must not exceed. Add cpu if a ResourceQuota requires it."""


class SnapshotJob(Model):
    """The Job that creates a snapshot. Pull secrets, node selector and tolerations come from the QdrantCluster."""

    active_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 86_400
    """Maximum run time of the Job, in seconds. A run that has not ended by then fails."""
    resources: JobResources = Field(default_factory=JobResources)
    """CPU and memory of its container."""


class Retention(Model):
    """Which snapshots of the schedule are kept."""

    keep_last: Annotated[int, Field(ge=1, le=10000)]
    """Number of complete snapshots that are kept. Failed ones do not count; the newest Verified one is always kept."""


class SnapshotScheduleSpec(Model):
    """When snapshots are created, of which collections, and where they are stored."""

    cluster_ref: Annotated[LocalRef, Field(json_schema_extra=_FIXED_CLUSTER)]
    """The QdrantCluster, in the same namespace. It cannot be changed."""
    schedule: Annotated[str, Field(max_length=128, json_schema_extra=_CRON_RULE)]
    """Cron expression of five fields: minute, hour, day of month, month, day of week; or a macro such as
    @daily."""
    time_zone: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", json_schema_extra=_ZONE_RULE)
    ] = "Etc/UTC"
    """Time zone of the schedule, for example Europe/Paris."""
    suspend: bool = False
    """True: no new snapshots are created."""
    concurrency_policy: Literal["Forbid", "Allow"] = "Forbid"
    """Forbid: while a snapshot runs, no other one is started."""
    starting_deadline_seconds: Annotated[int, Field(ge=0)] | None = None
    """A missed snapshot is still created within this time, in seconds; absent: without a limit."""
    collections: Globs = ("*",)
    """Collections by name; * matches any characters, ? matches one character."""
    storage: Storage
    """Where snapshots are stored."""
    retention: Retention | None = None
    """Which snapshots are kept; absent: all."""
    verify: Verify = Field(default_factory=Verify)
    """How a snapshot is verified before it counts as complete."""
    job: SnapshotJob = Field(default_factory=SnapshotJob)
    """The Jobs that create the snapshots."""
    deletion_policy: Literal["Retain", "Delete"] = "Delete"
    """Whether the stored files are deleted when retention deletes a snapshot. Any other deletion of a snapshot of the
    schedule keeps its files. Delete requires storage.s3.credentials: without it the files are kept."""


class SnapshotScheduleStatus(Status):
    """Past and next snapshots of the schedule."""

    last_schedule_time: Time | None = None
    """When the newest snapshot was due."""
    next_schedule_time: Time | None = None
    """When the next snapshot is due."""
    last_successful_time: Time | None = None
    """When the newest complete snapshot was completed."""
    active: tuple[str, ...] = ()
    """Names of running QdrantSnapshots."""
    kept: Count | None = None
    """Complete snapshots that are kept."""


class SnapshotSpec(Model):
    """Which collections are saved, and where. Only deletionPolicy can be changed."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.clusterRef == oldSelf.clusterRef && self.collections == oldSelf.collections && "
                "self.storage == oldSelf.storage && self.verify == oldSelf.verify && self.job == oldSelf.job",
                "spec: cannot be changed, except deletionPolicy; create another QdrantSnapshot",
            ),
        )
    )

    cluster_ref: LocalRef
    """The QdrantCluster, in the same namespace."""
    collections: Globs = ("*",)
    """Collections by name; * matches any characters, ? matches one character."""
    storage: Storage
    """Where the snapshot is stored."""
    verify: Verify = Field(default_factory=Verify)
    """How the snapshot is verified before it counts as complete."""
    job: SnapshotJob = Field(default_factory=SnapshotJob)
    """The Job that creates it."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the stored files are deleted with this object. Delete takes effect while the QdrantCluster exists and
    neither it nor the namespace is being deleted. It requires storage.s3.credentials: without it the files are kept."""


class SnapshotPhase(StrEnum):
    """State of a snapshot."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    VERIFIED = "Verified"
    PARTIALLY_FAILED = "PartiallyFailed"
    FAILED = "Failed"


class SnapshotCollection(Model):
    """One collection in a snapshot."""

    name: str
    """Name of the collection."""
    shards: Count
    """Shards that were saved."""
    points: Count
    """Points in them."""
    bytes: Count
    """Size of the stored files, in bytes."""


class SnapshotMissing(Model):
    """A collection that could not be saved."""

    name: str
    """Name of the collection."""
    reason: str
    """Reason, as one CamelCase word."""
    message: str
    """Error message."""


class SnapshotRetention(Model):
    """A decision of a schedule's retention."""

    uid: str
    """Uid of the QdrantSnapshot that is to be deleted: in a copied status it does not match."""
    decided_at: Time
    """Time of the decision."""


class SnapshotStatus(Status):
    """Progress and result of the snapshot."""

    phase: SnapshotPhase | None = None
    """State of the snapshot. Complete: the manifest is written. Verified: the files were read back and match.
    PartiallyFailed: some collections are saved, those in missing are not. Failed: nothing is saved."""
    started_at: Time | None = None
    """When the run began."""
    completed_at: Time | None = None
    """When the manifest was written."""
    location: str | None = None
    """URL of the folder with manifest.json."""
    bytes: Count | None = None
    """Size of the stored files, in bytes."""
    points: Count | None = None
    """Points in all collections."""
    collections: Annotated[tuple[SnapshotCollection, ...], Field(json_schema_extra=list_map("name"))] = ()
    """Collections that were saved."""
    missing: Annotated[tuple[SnapshotMissing, ...], Field(json_schema_extra=list_map("name"))] = ()
    """Collections that could not be saved; absent if all were saved."""
    progress: str | None = None
    """Progress of a running snapshot, for example 12/24 shards, 4.1/9.8 GiB."""
    message: str | None = None
    """Error message with its remedy."""
    waiting_since: Time | None = None
    """Start of the wait that the message of a pending snapshot describes."""
    job: str | None = None
    """Name of the Job."""
    cluster_uid: str | None = None
    """Uid of the QdrantCluster whose data is saved."""
    schedule_uid: str | None = None
    """Uid of the QdrantSnapshotSchedule that created the snapshot; absent: it was created by hand."""
    retention: SnapshotRetention | None = None
    """Decision of the schedule's retention to delete this object and its stored files; absent: there is none."""
