"""Opening the object storage that a backup names, with the credentials of its Secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from qdrant_operator.domain.errors import Refused, Unreachable
from qdrant_operator.domain.storage import (
    ACCESS_KEY,
    MANIFEST,
    SECRET_KEY,
    SESSION_KEY,
    S3Credentials,
    S3Place,
)
from qdrant_operator.reconcile.ports import Kind, ObjectStorage
from qdrant_operator.reconcile.world import World


async def open_storage(world: World, namespace: str, place: S3Place) -> ObjectStorage:
    """The storage at a place.

    Raises:
        Refused: `SecretNotFound`, `SecretKeyNotFound` or `SecretEmpty`.
    """
    return world.storage(place, await _credentials(world, namespace, place.secret))


async def probe(storage: ObjectStorage, place: S3Place) -> None:
    """Prove that the bucket can be used.

    Raises:
        Refused: `BucketUnreachable`, `BucketNotFound` or `CredentialsRefused`.
    """
    try:
        await storage.probe()
    except Unreachable as error:
        where = place.endpoint or f"AWS region {place.region}"
        raise Refused(
            "BucketUnreachable", f"{error}; check storage.s3.endpoint and region, and the network to {where}"
        ) from error


async def delete_backup(storage: ObjectStorage, folder: str) -> None:
    """Delete a backup: its manifest first, so that at no moment a damaged folder looks like a backup."""
    await storage.delete([f"{folder}{MANIFEST}"])
    await storage.delete([one.key for one in await storage.list(folder)])


async def delete_fragments(storage: ObjectStorage, folder: str) -> None:
    """Delete what a failed run stored; a folder with a manifest is a backup, whoever made it, and stays."""
    objects = await storage.list(folder)
    if not any(one.key == f"{folder}{MANIFEST}" for one in objects):
        await storage.delete([one.key for one in objects])


async def _credentials(world: World, namespace: str, secret: str | None) -> S3Credentials | None:
    if secret is None:
        return None
    found = await world.kubernetes.read(Kind.SECRET, namespace, secret)
    if found is None:
        raise Refused(
            "SecretNotFound",
            f"Secret {secret!r} of storage.s3.credentials does not exist in namespace {namespace!r}: create it"
            f" with the keys {ACCESS_KEY} and {SECRET_KEY}",
        )
    data: Mapping[str, str] = found.get("data") or {}
    token = _value(data, secret, SESSION_KEY) if data.get(SESSION_KEY) else None
    return S3Credentials(_value(data, secret, ACCESS_KEY), _value(data, secret, SECRET_KEY), token)


def _value(data: Mapping[str, str], secret: str, key: str) -> str:
    if key not in data:
        raise Refused("SecretKeyNotFound", f"Secret {secret!r} has no key {key!r}: add it")
    value = base64.b64decode(data[key]).decode().strip()
    if not value:
        raise Refused("SecretEmpty", f"key {key!r} of Secret {secret!r} is empty: put a value")
    return value
