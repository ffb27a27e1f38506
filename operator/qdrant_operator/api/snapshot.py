"""QdrantSnapshotSchedule and QdrantSnapshot: backups by the clock, and one backup.

No I/O here. The schedule speaks CronJob's words.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import LIST_SET, LocalRef, Model, Status, list_map
from qdrant_operator.api.storage import Storage, Verify
from qdrant_operator.api.tuning import Count

Globs = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...],
    Field(min_length=1, max_length=100, json_schema_extra=LIST_SET),
]
"""Names of collections; * and ? stand for any characters and for one."""


class Retention(Model):
    """Which snapshots of the schedule are kept."""

    keep_last: Annotated[int, Field(ge=1, le=10000)]
    """How many complete snapshots are kept. Failed ones do not count."""


class SnapshotScheduleSpec(Model):
    """When snapshots are made, of what, and where they go."""

    cluster_ref: LocalRef
    """The QdrantCluster, in the same namespace."""
    schedule: Annotated[str, Field(min_length=9, max_length=128)]
    """Cron expression of five fields: minute, hour, day of month, month, day of week."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "Etc/UTC"
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
    deletion_policy: Literal["Retain", "Delete"] = "Delete"
    """What becomes of the stored files when a snapshot of the schedule is deleted, also by retention."""


class SnapshotScheduleStatus(Status):
    """What the schedule did and will do."""

    last_schedule_time: datetime | None = None
    """When the newest snapshot was due."""
    next_schedule_time: datetime | None = None
    """When the next snapshot is due."""
    last_successful_time: datetime | None = None
    """When the newest complete snapshot was completed."""
    active: tuple[str, ...] = ()
    """Names of QdrantSnapshots that run now."""
    kept: Count | None = None
    """Complete snapshots that are kept."""


class SnapshotSpec(Model):
    """What is saved, and where to."""

    cluster_ref: LocalRef
    """The QdrantCluster, in the same namespace."""
    collections: Globs = ("*",)
    """Collections by name; * and ? stand for any characters and for one."""
    storage: Storage
    """Where the snapshot is kept."""
    verify: Verify = Field(default_factory=Verify)
    """How the snapshot is checked before it counts."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the stored files when this object is deleted."""


class SnapshotPhase(StrEnum):
    """How far a snapshot is."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    VERIFIED = "Verified"
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


class SnapshotStatus(Status):
    """What became of the snapshot."""

    phase: SnapshotPhase | None = None
    """How far it is. Complete: the manifest is written. Verified: the files were read back and agree."""
    started_at: datetime | None = None
    """When the first file was begun."""
    completed_at: datetime | None = None
    """When the manifest was written."""
    location: str | None = None
    """URL of the folder with manifest.json."""
    bytes: Count | None = None
    """Size of the stored files, in bytes."""
    points: Count | None = None
    """Points in all collections."""
    collections: Annotated[tuple[SnapshotCollection, ...], Field(json_schema_extra=list_map("name"))] = ()
    """What was saved."""
    progress: str | None = None
    """How far a running snapshot is, for example 12/24 shards, 4.1/9.8 GiB."""
    message: str | None = None
    """What went wrong, and what to do."""
    job: str | None = None
    """The Job that does the work."""
    attempts: Count | None = None
    """How many pods have tried."""
