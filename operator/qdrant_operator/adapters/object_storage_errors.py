"""Errors of obstore as errors of the operator, with the remedy for those that a user must solve."""

from __future__ import annotations

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from qdrant_operator.domain.backup.storage import S3Place
from qdrant_operator.domain.common.errors import Refused, Unreachable


class ObjectNotFound(Exception):  # noqa: N818 (an answer, not an error)
    """The bucket exists, the object does not."""


def translated(place: S3Place, what: str, error: Exception) -> Exception:
    """The translated error. obstore reports some statuses by type and others only in its text."""
    text = str(error)
    where = f"bucket {place.bucket!r} at {place.endpoint or 'AWS'}"
    if "NoSuchBucket" in text:
        return Refused("BucketNotFound", f"{where} does not exist: create it, or correct storage.s3.bucket")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _status(text) in (401, 403):
        return Refused(
            "CredentialsRefused", f"{where} refused to {what}: {_server_code(text)}; {_remedy(place)}"
        )
    if isinstance(error, FileNotFoundError):
        return ObjectNotFound(text)
    return Unreachable(f"{where} could not {what}: {_first_line(text)}", after=15.0)


def _remedy(place: S3Place) -> str:
    if place.secret is None:
        return (
            "give the pod an identity with access to the bucket, or name a Secret in storage.s3.credentials"
        )
    return f"check the keys in Secret {place.secret!r} and the permissions of that account"


def _status(text: str) -> int | None:
    _, marker, rest = text.partition("non-2xx status code: ")
    return int(rest[:3]) if marker and rest[:3].isdigit() else None


def _server_code(text: str) -> str:
    """The `Code` of S3's error document."""
    _, marker, rest = text.partition("<Code>")
    return rest.partition("</Code>")[0] if marker else str(_status(text) or _first_line(text))


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:500] if text.strip() else "no reason given"
