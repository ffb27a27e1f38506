"""Object storage for snapshots, and how snapshots are checked.

No I/O here. Credentials are named, never held.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import LocalRef, Model


class S3Credentials(Model):
    """Where the keys of an S3 account are."""

    secret_ref: LocalRef
    """Secret with the keys accessKeyId and secretAccessKey, and sessionToken where one is used."""


class S3(Model):
    """A bucket that speaks S3."""

    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]+[a-z0-9]$")]
    """Name of the bucket; it must exist."""
    prefix: Annotated[str, Field(max_length=512, pattern=r"^([^/].*)?$")] = ""
    """Folder in the bucket, for example prod/."""
    region: Annotated[str, Field(min_length=1, max_length=63)] = "us-east-1"
    """Region of the bucket."""
    endpoint: Annotated[str, Field(max_length=512, pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")] | None = None
    """URL of the S3 service; absent: AWS."""
    credentials: S3Credentials | None = None
    """Keys of the account; absent: the pod's own identity (IRSA, instance profile)."""


class Storage(Model):
    """Where snapshots are kept: exactly one member."""

    s3: S3
    """A bucket that speaks S3."""


class Verify(Model):
    """How a snapshot is checked before it counts."""

    mode: Literal["None", "Checksum"] = "Checksum"
    """Checksum: files are read back from storage and compared with their SHA-256."""
