"""Object storage for snapshots, and how snapshots are verified.

No I/O here. The spec names a Secret and never contains credentials.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from qdrant_operator.api.base import LocalRef, Model, rule, rules

_BUCKET = rules(
    rule(
        "self.matches('^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$')",
        "spec.storage.s3.bucket: not a valid bucket name (3 to 63 lower-case letters, digits, dots and -); "
        "put folders into prefix",
    )
)
_PREFIX = rules(
    rule(
        "bytes(self).size() <= 400",
        "spec.storage.s3.prefix: longer than 400 bytes; S3 allows 1,024 bytes for a whole key; shorten it",
    ),
    rule(
        "!self.startsWith('/') && !self.contains('//')",
        "spec.storage.s3.prefix: must not begin with / or contain //; use the form prod/",
    ),
)
_ENDPOINT = rules(
    rule(
        "self.matches('^https?://[^/?#@ ]+/?$')",
        "spec.storage.s3.endpoint: not the URL of a service; use the form https://host or http://host:port",
    ),
    rule(
        "!self.matches('(?i)^https?://(169[.]254[.]|[[]fe80:|metadata([.]google[.]internal)?[.]?(:|/|$))')",
        "spec.storage.s3.endpoint: a link-local address or a metadata service; set the address of the S3 service",
    ),
)


class S3Credentials(Model):
    """Credentials of an S3 account."""

    secret_ref: LocalRef
    """Secret with the keys accessKeyId and secretAccessKey, and optionally sessionToken."""


class S3(Model):
    """A bucket of S3 or of storage with the same protocol."""

    bucket: Annotated[str, Field(max_length=63, json_schema_extra=_BUCKET)]
    """Name of the bucket; it must exist."""
    prefix: Annotated[str, Field(max_length=512, json_schema_extra=_PREFIX)] = ""
    """Folder in the bucket, for example prod/."""
    region: Annotated[str, Field(min_length=1, max_length=63)] = "us-east-1"
    """Region of the bucket."""
    endpoint: Annotated[str, Field(max_length=512, json_schema_extra=_ENDPOINT)] | None = None
    """URL of the S3 service; absent: AWS."""
    credentials: S3Credentials | None = None
    """Credentials of the account; absent: the Job uses the identity of its pod (IRSA, instance profile), and the
    operator cannot delete files."""


class Storage(Model):
    """Where snapshots are stored: exactly one kind of storage."""

    s3: S3
    """A bucket of S3 or of storage with the same protocol."""


class Verify(Model):
    """How a snapshot is verified before it counts as complete."""

    mode: Literal["None", "Checksum"] = "Checksum"
    """Checksum: files are read back from storage and compared with their SHA-256."""
