"""Where backups lie: one place in object storage, and the keys of everything in it.

Values only: talking to the storage is the adapters' work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

from qdrant_operator.api.backup.storage import Storage

ACCESS_KEY = "accessKeyId"
SECRET_KEY = "secretAccessKey"  # noqa: S105 (a key's name in a Secret, not a secret)
SESSION_KEY = "sessionToken"
"""Keys of the Secret that `credentials.secretRef` names; the last one only where the account uses it."""

MANIFEST = "manifest.json"
KEY_BYTES = 1024
"""Longest key of an object in S3, in bytes of UTF-8 (Amazon S3 user guide, "Naming Amazon S3 objects")."""
SEGMENT_BYTES = 200
"""Longest name of a collection's folder: stores that keep objects in a file system take 255 bytes a segment."""
DIGEST_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, and where in it."""

    bucket: str
    region: str
    prefix: str = ""
    """Without slashes at its ends."""
    endpoint: str | None = None
    """URL of an S3 server other than AWS."""
    secret: str | None = None
    """Secret with the credentials, in the namespace of the snapshot; None: the pod's own identity."""

    def url(self, key: str) -> str:
        """A key as users write it: s3://bucket/key."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """An access key; its secret part never shows in a log."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it."""

    key: str
    bytes: int
    modified: datetime
    """By the storage's own clock."""


def s3_place(storage: Storage) -> S3Place:
    """The place that a `storage` block names."""
    s3 = storage.s3
    secret = s3.credentials.secret_ref.name if s3.credentials else None
    return S3Place(s3.bucket, s3.region, s3.prefix.strip("/"), s3.endpoint, secret)


def backup_folder(place: S3Place, namespace: str, cluster: str, snapshot: str, uid: str) -> str:
    """Folder of one backup, with a slash at its end; `uid` is the QdrantSnapshot's, because a name is reused."""
    return f"{cluster_folder(place, namespace, cluster)}{snapshot}/{uid}/"


def journal_folder(place: S3Place, namespace: str, cluster: str) -> str:
    """Folder of the journals of a cluster's running and broken runs (no object's name starts with a dot)."""
    return f"{cluster_folder(place, namespace, cluster)}.runs/"


def journal_key(place: S3Place, namespace: str, cluster: str, run: str) -> str:
    """Journal of one run; `run` is never used again, unlike a name."""
    return f"{journal_folder(place, namespace, cluster)}{run}.json"


def cluster_folder(place: S3Place, namespace: str, cluster: str) -> str:
    """Folder of all backups of a cluster."""
    start = f"{place.prefix}/" if place.prefix else ""
    return f"{start}{namespace}/{cluster}/"


def shard_file(collection: str, shard: int) -> str:
    """Path of one shard's file within its backup.

    The name stays one segment whatever it contains. One that is long when it is quoted (a character of Chinese
    takes nine bytes) is cut and ends in a hash; the manifest has the whole name.
    """
    segment = quote(collection, safe="")
    if collection in (".", ".."):
        segment = segment.replace(".", "%2E")
    if len(segment) > SEGMENT_BYTES:
        digest = sha256(collection.encode()).hexdigest()[:DIGEST_CHARACTERS]
        segment = f"{segment[: SEGMENT_BYTES - DIGEST_CHARACTERS - 1]}-{digest}"
    return f"{segment}/shard-{shard}.snapshot"


def key_problem(key: str) -> str | None:
    """Why S3 does not take an object of this key; None when it does."""
    size = len(key.encode())
    if size <= KEY_BYTES:
        return None
    return f"the key {key[:100]}… has {size} bytes, S3 takes {KEY_BYTES}: shorten storage.s3.prefix"
