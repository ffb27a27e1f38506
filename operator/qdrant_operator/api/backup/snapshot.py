"""QdrantSnapshotSchedule and QdrantSnapshot: backups by the clock, and one backup.

No I/O here. The schedule speaks CronJob's words.
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
"""Names of collections; * and ? stand for any characters and for one."""


def _cron_field(value: str, alone: str = "") -> str:
    """Pattern of one field of a cron expression: values, ranges, steps, lists; `alone` are further words."""
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
        '"0 2 * * *" for every night at two, or a word such as @daily',
    )
)
_ZONE_RULE = rules(
    rule(
        "self != 'Local'",
        "spec.timeZone: Local is not a time zone here; name one, for example Europe/Paris or Etc/UTC",
    )
)


_FIXED_CLUSTER = rules(
    rule(
        "self == oldSelf",
        "spec.clusterRef: cannot be changed; put the old name back, or make another QdrantSnapshotSchedule for "
        "the other cluster",
    )
)


class JobResources(Model):
    """CPU and memory of a snapshot's run. Memory is buffers, whatever the size of a shard."""

    model_config = ConfigDict(json_schema_extra=rules(requests_within_limits("spec.job.resources")))

    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] = {"cpu": "100m", "memory": "160Mi"}
    """What the scheduler sets aside."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] = {"memory": "512Mi"}
    """What a run may not exceed. Add cpu where a ResourceQuota wants it."""


class SnapshotJob(Model):
    """The Job that makes a snapshot. Pull secrets, node selector and tolerations come from the QdrantCluster."""

    active_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 86_400
    """A run that has not ended so long after its Job was made fails, in seconds."""
    resources: JobResources = Field(default_factory=JobResources)
    """CPU and memory of its container."""


class Retention(Model):
    """Which snapshots of the schedule are kept."""

    keep_last: Annotated[int, Field(ge=1, le=10000)]
    """How many complete snapshots are kept. Failed ones do not count; the newest Verified one always stays."""


class SnapshotScheduleSpec(Model):
    """When snapshots are made, of what, and where they go."""

    cluster_ref: Annotated[LocalRef, Field(json_schema_extra=_FIXED_CLUSTER)]
    """The QdrantCluster, in the same namespace. It cannot be changed."""
    schedule: Annotated[str, Field(max_length=128, json_schema_extra=_CRON_RULE)]
    """Cron expression of five fields: minute, hour, day of month, month, day of week; or @daily and the like."""
    time_zone: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", json_schema_extra=_ZONE_RULE)
    ] = "Etc/UTC"
    """Time zone of the schedule, for example Europe/Paris."""
    suspend: bool = False
    """True: no new snapshots."""
    concurrency_policy: Literal["Forbid", "Allow"] = "Forbid"
    """Forbid: while a snapshot runs, no other is started."""
    starting_deadline_seconds: Annotated[int, Field(ge=0)] | None = None
    """A missed snapshot is still made within this time, in seconds; absent: however late."""
    collections: Globs = ("*",)
    """Collections by name; * and ? stand for any characters and for one."""
    storage: Storage
    """Where snapshots are kept."""
    retention: Retention | None = None
    """Which snapshots are kept; absent: all."""
    verify: Verify = Field(default_factory=Verify)
    """How a snapshot is checked before it counts."""
    job: SnapshotJob = Field(default_factory=SnapshotJob)
    """The Jobs that make the snapshots."""
    deletion_policy: Literal["Retain", "Delete"] = "Delete"
    """What becomes of the stored files of a snapshot that retention deletes. Whatever else deletes a snapshot of
    the schedule leaves its files. Delete needs storage.s3.credentials: without it the files stay."""


class SnapshotScheduleStatus(Status):
    """What the schedule did and will do."""

    last_schedule_time: Time | None = None
    """When the newest snapshot was due."""
    next_schedule_time: Time | None = None
    """When the next snapshot is due."""
    last_successful_time: Time | None = None
    """When the newest complete snapshot was completed."""
    active: tuple[str, ...] = ()
    """Names of QdrantSnapshots that run now."""
    kept: Count | None = None
    """Complete snapshots that are kept."""


class SnapshotSpec(Model):
    """What is saved, and where to. A snapshot is of its moment: only deletionPolicy may be changed."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.clusterRef == oldSelf.clusterRef && self.collections == oldSelf.collections && "
                "self.storage == oldSelf.storage && self.verify == oldSelf.verify && self.job == oldSelf.job",
                "spec: cannot be changed, except deletionPolicy; make another QdrantSnapshot",
            ),
        )
    )

    cluster_ref: LocalRef
    """The QdrantCluster, in the same namespace."""
    collections: Globs = ("*",)
    """Collections by name; * and ? stand for any characters and for one."""
    storage: Storage
    """Where the snapshot is kept."""
    verify: Verify = Field(default_factory=Verify)
    """How the snapshot is checked before it counts."""
    job: SnapshotJob = Field(default_factory=SnapshotJob)
    """The Job that makes it."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the stored files when you delete this object. Delete counts while its QdrantCluster exists
    and neither that nor the namespace is being deleted. It needs storage.s3.credentials: without it the files stay."""


class SnapshotPhase(StrEnum):
    """How far a snapshot is."""

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
    """A collection that was to be saved and is not in the snapshot."""

    name: str
    """Name of the collection."""
    reason: str
    """One word for what went wrong."""
    message: str
    """What went wrong."""


class SnapshotRetention(Model):
    """A decision of a schedule's retention."""

    uid: str
    """The uid of the QdrantSnapshot that it is about: a copied status decides nothing."""
    decided_at: Time
    """When it was decided."""


class SnapshotStatus(Status):
    """What became of the snapshot."""

    phase: SnapshotPhase | None = None
    """How far it is. Complete: the manifest is written. Verified: the files were read back and agree.
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
    """What was saved."""
    missing: Annotated[tuple[SnapshotMissing, ...], Field(json_schema_extra=list_map("name"))] = ()
    """What was to be saved and is not; absent when everything is saved."""
    progress: str | None = None
    """How far a running snapshot is, for example 12/24 shards, 4.1/9.8 GiB."""
    message: str | None = None
    """What went wrong, and what to do."""
    waiting_since: Time | None = None
    """Since when a pending snapshot waits for what its message says."""
    job: str | None = None
    """The Job that does the work."""
    cluster_uid: str | None = None
    """The uid of the QdrantCluster whose data is saved."""
    schedule_uid: str | None = None
    """The uid of the QdrantSnapshotSchedule that made it; absent: it was made by hand."""
    retention: SnapshotRetention | None = None
    """Retention of the schedule deletes this object, and its stored files with it; absent: it has not decided so."""
