"""Opening the object storage that a backup names, with the credentials of its Secret."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_operator.domain.backup.endpoints import endpoint_problem
from qdrant_operator.domain.backup.owner import OWNER, deletion_order, load_owner
from qdrant_operator.domain.backup.storage import (
    ACCESS_KEY,
    MANIFEST,
    SECRET_KEY,
    SESSION_KEY,
    S3Credentials,
    S3Place,
)
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.secrets import read_secret
from qdrant_operator.reconcile.ports import ObjectStorage


async def open_storage(context: Context, namespace: str, place: S3Place) -> ObjectStorage:
    """The storage at a place, with the keys of its Secret and never with the operator's own identity.

    Raises:
        Refused: `EndpointNotAllowed`, `NoCredentials`, `SecretNotFound`, `SecretKeyNotFound`, `SecretEmpty` or
            `SecretValueInvalid`.
    """
    check_endpoint(context, place)
    return context.storage(place, await _credentials(context, namespace, place))


def check_endpoint(context: Context, place: S3Place) -> None:
    """Refuse an address that means something else for the operator's pod than for the user.

    Raises:
        Refused: `EndpointNotAllowed`.
    """
    problem = endpoint_problem(place.endpoint, context.options.storage_endpoints)
    if problem:
        raise Refused(
            "EndpointNotAllowed",
            f"storage.s3.endpoint: {problem}; write the S3 service's own address, or let the operator's"
            " administrator add it to storageEndpoints of the chart",
        )


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


async def delete_backup(storage: ObjectStorage, folder: str, uid: str) -> None:
    """Delete the backup of the QdrantSnapshot with this uid; files that are already gone are no error.

    Raises:
        Refused: `FolderNotOwned`, and nothing is deleted.
    """
    await _delete(storage, folder, await _owned(storage, folder, uid))


async def delete_fragments(storage: ObjectStorage, folder: str, uid: str) -> None:
    """Delete what a failed run of this QdrantSnapshot stored; a folder with a manifest is a backup and is kept.

    Raises:
        Refused: `FolderNotOwned`, and nothing is deleted.
    """
    keys = await _owned(storage, folder, uid)
    if f"{folder}{MANIFEST}" not in keys:
        await _delete(storage, folder, keys)


async def _delete(storage: ObjectStorage, folder: str, keys: Sequence[str]) -> None:
    for several in deletion_order(folder, keys):
        await storage.delete(several)


async def _owned(storage: ObjectStorage, folder: str, uid: str) -> list[str]:
    """Keys in a folder that belongs to a run of this QdrantSnapshot."""
    keys = [stored.key for stored in await storage.list(folder)]
    owner = load_owner(await storage.read(f"{folder}{OWNER}")) if keys else None
    if keys and (owner is None or owner.snapshot_uid != uid):
        raise Refused(
            "FolderNotOwned",
            f"{folder} in the bucket does not belong to this QdrantSnapshot: its {OWNER} is missing or names another"
            " uid; check the folder, and delete it by hand if no backup in it is needed",
        )
    return keys


async def _credentials(context: Context, namespace: str, place: S3Place) -> S3Credentials:
    secret = place.secret
    if secret is None:
        raise Refused(
            "NoCredentials",
            f"bucket {place.bucket!r} is used with the pods' own identity, which only the Job has; the operator opens a"
            " bucket only with a Secret in storage.s3.credentials",
        )
    found = await read_secret(
        context.kubernetes,
        namespace,
        secret,
        field="storage.s3.credentials",
        remedy=f"create it with the keys {ACCESS_KEY} and {SECRET_KEY}",
    )
    token = found.value(SESSION_KEY) if found.has(SESSION_KEY) else None
    return S3Credentials(found.value(ACCESS_KEY), found.value(SECRET_KEY), token)
