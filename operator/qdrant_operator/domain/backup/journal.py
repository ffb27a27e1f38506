"""What a snapshot run reports: its journal while it works, its result when it ends. Documents only.

The journal lies in storage, outside the backup's folder. It shows the operator how far the run is, and the next
run which files an interrupted one left on the peers. The result goes the way of termination messages, which
every kubelet carries, so a run needs no rights in Kubernetes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from qdrant_operator.domain.backup.job_spec import RESULT_BYTES
from qdrant_operator.domain.backup.manifest import BackupManifest, MissingCollection


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A snapshot file that a run asked a peer to make and has not deleted yet."""

    pod: str
    collection: str
    shard: int
    asked_at: str
    """RFC 3339, with offset."""
    before: tuple[str, ...]
    """Snapshots of the shard that were on the peer before."""
    name: str | None = None
    """Known when Qdrant has answered."""


@dataclass(frozen=True, slots=True)
class JournalDocument:
    """A run's journal, as stored."""

    snapshot: str
    cluster_uid: str
    """Of the QdrantCluster whose peers the files are on."""
    progress: str
    error: str | None
    files: tuple[LocalFile, ...]


def dump_journal(journal: JournalDocument) -> bytes:
    """The bytes to store."""
    return json.dumps(asdict(journal)).encode()


def load_journal(content: bytes) -> JournalDocument | None:
    """Read what `dump_journal` wrote; None for anything else, which must not be touched."""
    try:
        fields = json.loads(content)
        files = tuple(LocalFile(**{**file, "before": tuple(file["before"])}) for file in fields.pop("files"))
        return JournalDocument(files=files, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def time_in_name(snapshot: str) -> datetime | None:
    """The time that Qdrant puts at the end of a snapshot's name, in UTC."""
    stem = snapshot.removesuffix(".snapshot")
    try:
        return datetime.strptime(f"{stem[-19:]} +0000", "%Y-%m-%d-%H-%M-%S %z")
    except ValueError:
        return None


PARTIAL = "PartiallyFailed"
"""Reason of a run that saved some collections and not others."""
NAMED = 5
"""Missing collections that the message names."""


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """One saved collection, in sums."""

    name: str
    shards: int
    points: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: with a backup, or with a reason."""

    reason: str
    """Complete, Verified, or a closed word for what went wrong."""
    message: str = ""
    started_at: str = ""
    completed_at: str = ""
    bytes: int = 0
    points: int = 0
    collections: tuple[CollectionResult, ...] = ()
    missing: tuple[MissingCollection, ...] = ()

    @property
    def good(self) -> bool:
        """There is a backup of all that was asked for."""
        return self.reason in ("Complete", "Verified")

    @property
    def stored(self) -> bool:
        """There is a manifest: a restore can be made from what is saved."""
        return self.good or self.reason == PARTIAL


def result_of(manifest: BackupManifest, *, verified: bool) -> Result:
    """The result of a run that wrote this manifest."""
    sums = tuple(
        CollectionResult(collection.name, len(collection.shards), collection.points, collection.bytes)
        for collection in manifest.collections
    )
    saved = f"{manifest.shards} shards of {len(sums)} collections"
    return Result(
        PARTIAL if manifest.missing else "Verified" if verified else "Complete",
        f"{saved} are saved; {_missing(manifest)}" if manifest.missing else saved,
        manifest.started_at,
        manifest.completed_at,
        manifest.bytes,
        manifest.points,
        sums,
        manifest.missing,
    )


def _missing(manifest: BackupManifest) -> str:
    named = [
        f"{missing.name!r} ({missing.reason}: {missing.message})" for missing in manifest.missing[:NAMED]
    ]
    more = [f"and {len(manifest.missing) - NAMED} more"] if len(manifest.missing) > NAMED else []
    return f"{len(manifest.missing)} are not: {', '.join([*named, *more])}"


def dump_result(result: Result) -> str:
    """As JSON that fits a termination message: long lists of collections go first, a long sentence next."""
    text = json.dumps(asdict(result), ensure_ascii=False)
    if len(text.encode()) > RESULT_BYTES:
        text = json.dumps(asdict(replace(result, collections=(), missing=())), ensure_ascii=False)
    if len(text.encode()) > RESULT_BYTES:
        shorter = replace(result, collections=(), missing=(), message=f"{result.message[:600]}…")
        text = json.dumps(asdict(shorter), ensure_ascii=False)
    return text


def load_result(text: str | None) -> Result | None:
    """Read what `dump_result` wrote; None for anything else (a crash leaves log lines there)."""
    try:
        fields: Mapping[str, Any] = json.loads(text or "")
        collections = tuple(CollectionResult(**collection) for collection in fields["collections"])
        missing = tuple(MissingCollection(**entry) for entry in fields["missing"])
        return Result(**{**fields, "collections": collections, "missing": missing})
    except (ValueError, TypeError, KeyError):
        return None
