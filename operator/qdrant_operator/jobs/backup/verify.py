"""Whether the stored files are what the manifest says: every byte is read back.

Finds a corrupted, truncated or missing file and names it by collection, shard and file. Changes nothing.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass

from qdrant_operator.domain.backup.manifest import BackupManifest, ShardFile, load_manifest
from qdrant_operator.domain.backup.storage import MANIFEST, S3Place
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.jobs.backup.copy import Measured, difference
from qdrant_operator.jobs.backup.ports import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not what it should be."""

    collection: str
    shard: int
    file: str
    problem: str

    def __str__(self) -> str:
        """As users read it."""
        return f"collection {self.collection!r}, shard {self.shard}, file {self.file}: {self.problem}"


async def verify_files(storage: Storage, folder: str, manifest: BackupManifest) -> tuple[Finding, ...]:
    """Read every file of a backup and compare size and SHA-256."""
    findings = [
        Finding(collection.name, shard.shard, shard.file, problem)
        for collection in manifest.collections
        for shard in collection.shards
        if (problem := await _problem(storage, folder, shard))
    ]
    for finding in findings:
        log.error("Stored file is damaged", extra={"file": finding.file, "problem": finding.problem})
    return tuple(findings)


def report(location: str, manifest: BackupManifest, findings: tuple[Finding, ...]) -> list[str]:
    """Lines for people: what is damaged, what the backup never had, and the sums."""
    missing = [
        f"collection {missing.name!r} is not in this backup: {missing.reason}: {missing.message}"
        for missing in manifest.missing
    ]
    sums = f"{location}: {manifest.shards} files read, {len(findings)} damaged"
    return [*(str(finding) for finding in findings), *missing, sums]


async def _problem(storage: Storage, folder: str, shard: ShardFile) -> str | None:
    measured = Measured(storage.stream(f"{folder}{shard.file}"), shard.bytes)
    try:
        async with aclosing(measured.chunks()) as chunks:
            async for _ in chunks:
                pass
    except Refused as error:
        if error.reason != "ObjectNotFound":
            raise
        return "is missing"
    return difference(measured, shard.bytes, shard.sha256)


async def read_manifest(storage: Storage, place: S3Place, folder: str) -> BackupManifest:
    """The manifest of a backup.

    Raises:
        Refused: `ManifestNotFound` (the folder is no backup), `ManifestUnreadable`, `ManifestTooNew`.
    """
    key = f"{folder}{MANIFEST}"
    content = await storage.read(key)
    if content is None:
        raise Refused("ManifestNotFound", f"{place.url(folder)} has no {MANIFEST}: it is not a backup")
    return load_manifest(content, place.url(key))
