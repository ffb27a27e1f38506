"""The format of manifest.json: what makes a folder in storage a backup.

It is written last, so that a folder without it is no backup, and it holds all that a restore needs to know:
nothing is looked up in Kubernetes or in the cluster the backup came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from qdrant_operator.domain.backup.owner import Owner
from qdrant_operator.domain.common.errors import Refused

FORMAT = 1
"""Raised when an older reader would misread the file."""

KnownKey = int | str


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One shard's snapshot in storage."""

    shard: int
    key: KnownKey | None
    """Shard key, with custom sharding."""
    file: str
    """Path within the backup's folder."""
    bytes: int
    sha256: str
    """Hex digest of the whole file."""
    points: int
    """Points that the source counted when its snapshot was planned."""
    peer: int
    pod: str
    taken_at: str
    """RFC 3339."""


@dataclass(frozen=True, slots=True)
class CollectionBackup:
    """One collection: how to make it again, and its shards."""

    name: str
    config: Mapping[str, Any]
    """`config` of GET /collections/{name}, as Qdrant gave it."""
    payload_schema: Mapping[str, Any]
    aliases: tuple[str, ...]
    shards: tuple[ShardFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def points(self) -> int:
        """Points of all its shards; each shard is in the backup once."""
        return sum(shard.points for shard in self.shards)


@dataclass(frozen=True, slots=True)
class MissingCollection:
    """A collection that was to be saved and is not in the backup."""

    name: str
    reason: str
    """Closed CamelCase word, as in conditions."""
    message: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """A whole backup."""

    namespace: str
    cluster: str
    snapshot: str
    owner: Owner
    """The run that made it: a manifest of another one is never taken for its own."""
    qdrant_version: str
    """The newest among the peers: a restore needs this version or a later one."""
    started_at: str
    completed_at: str
    collections: tuple[CollectionBackup, ...]
    missing: tuple[MissingCollection, ...] = ()
    """Empty in a backup of all that was asked for."""

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(collection.bytes for collection in self.collections)

    @property
    def points(self) -> int:
        """Points in the backup."""
        return sum(collection.points for collection in self.collections)

    @property
    def shards(self) -> int:
        """Number of files."""
        return sum(len(collection.shards) for collection in self.collections)


def dump_manifest(manifest: BackupManifest) -> bytes:
    """The manifest as the bytes of manifest.json."""
    document = {
        "formatVersion": FORMAT,
        "qdrantVersion": manifest.qdrant_version,
        "cluster": {"namespace": manifest.namespace, "name": manifest.cluster},
        "snapshot": manifest.snapshot,
        "owner": _owner_document(manifest.owner),
        "startedAt": manifest.started_at,
        "completedAt": manifest.completed_at,
        # Every shard is a moment of its own: Qdrant has no snapshot of a whole cluster.
        "consistent": False,
        "bytes": manifest.bytes,
        "points": manifest.points,
        "collections": [_collection_document(collection) for collection in manifest.collections],
        "missing": [asdict(missing) for missing in manifest.missing],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _owner_document(owner: Owner) -> dict[str, str]:
    return {"snapshotUid": owner.snapshot_uid, "clusterUid": owner.cluster_uid, "run": owner.run}


def _collection_document(collection: CollectionBackup) -> dict[str, Any]:
    return {
        "name": collection.name,
        "config": collection.config,
        "payloadSchema": collection.payload_schema,
        "aliases": list(collection.aliases),
        "shardKeys": _shard_keys(collection),
        "shards": [_shard_document(shard) for shard in collection.shards],
    }


def _shard_keys(collection: CollectionBackup) -> list[dict[str, Any]]:
    """Keys in the order of their first shard: created in this order, they get the same shard ids again."""
    keys: dict[KnownKey, list[int]] = {}
    for shard in sorted(collection.shards, key=lambda saved: saved.shard):
        if shard.key is not None:
            keys.setdefault(shard.key, []).append(shard.shard)
    return [{"key": key, "shards": shards} for key, shards in keys.items()]


def _shard_document(shard: ShardFile) -> dict[str, Any]:
    return {
        "shard": shard.shard,
        "key": shard.key,
        "file": shard.file,
        "bytes": shard.bytes,
        "sha256": shard.sha256,
        "points": shard.points,
        "peer": {"id": shard.peer, "pod": shard.pod},
        "takenAt": shard.taken_at,
    }


def load_manifest(content: bytes, where: str) -> BackupManifest:
    """Read manifest.json; `where` names it in errors.

    Raises:
        Refused: `ManifestUnreadable`, or `ManifestTooNew` when a later release wrote it.
    """
    try:
        document = json.loads(content)
        if int(document["formatVersion"]) > FORMAT:
            raise Refused(
                "ManifestTooNew",
                f"{where} has format {document['formatVersion']}, this release reads up to {FORMAT}:"
                " use a newer release",
            )
        return _manifest(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("ManifestUnreadable", f"{where} is not a backup's manifest: {error!r}") from error


def _manifest(document: Mapping[str, Any]) -> BackupManifest:
    return BackupManifest(
        namespace=document["cluster"]["namespace"],
        cluster=document["cluster"]["name"],
        snapshot=document["snapshot"],
        owner=_owner(document["owner"]),
        qdrant_version=document["qdrantVersion"],
        started_at=document["startedAt"],
        completed_at=document["completedAt"],
        collections=tuple(_collection(entry) for entry in document["collections"]),
        missing=tuple(MissingCollection(**entry) for entry in document["missing"]),
    )


def _owner(document: Mapping[str, str]) -> Owner:
    return Owner(document["snapshotUid"], document["clusterUid"], document["run"])


def _collection(document: Mapping[str, Any]) -> CollectionBackup:
    return CollectionBackup(
        name=document["name"],
        config=document["config"],
        payload_schema=document["payloadSchema"],
        aliases=tuple(document["aliases"]),
        shards=tuple(_shard(entry) for entry in document["shards"]),
    )


def _shard(document: Mapping[str, Any]) -> ShardFile:
    return ShardFile(
        shard=int(document["shard"]),
        key=document["key"],
        file=document["file"],
        bytes=int(document["bytes"]),
        sha256=document["sha256"],
        points=int(document["points"]),
        peer=int(document["peer"]["id"]),
        pod=document["peer"]["pod"],
        taken_at=document["takenAt"],
    )
