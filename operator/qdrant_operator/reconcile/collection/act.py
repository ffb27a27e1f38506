"""Carrying out one step for a QdrantCollection: one call to Qdrant, or one patch of the object's finalizers.

Two calls are checked once more right before they are sent: what the plan was made from may have changed.
"""

from __future__ import annotations

import asyncio

from qdrant_operator.api import ClusterStatus
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.collection.shards.health import keys_seen
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionStep,
    CreateCollection,
    CreatePayloadIndex,
    CreateShardKey,
    DeleteCollection,
    DropPayloadIndex,
    MoveAliases,
    RemoveFinalizer,
    RemoveShardKey,
    ReplacePayloadIndex,
    StartOptimizations,
    TakeOver,
    UpdateCollection,
)
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.qdrant.soundness import answering
from qdrant_operator.reconcile.access import cluster_access
from qdrant_operator.reconcile.collection.observe import view_of
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.finalizers import add_finalizer, remove_finalizer
from qdrant_operator.reconcile.ports import Endpoint, Kind, Manifest, Qdrant
from qdrant_operator.reconcile.records import read_status


async def act(context: Context, subject: Manifest, endpoint: Endpoint | None, step: CollectionStep) -> None:
    """Carry out one step.

    Raises:
        Refused: Qdrant or Kubernetes refuses it.
        Retryable: it is not certain whether it was done, or it must wait: observe again.
    """
    if isinstance(step, AddFinalizer):
        await add_finalizer(context, Kind.COLLECTION, subject)
        return
    if isinstance(step, RemoveFinalizer):
        await remove_finalizer(context, Kind.COLLECTION, subject)
        return
    if endpoint is None:
        raise Refused("ClusterNotFound", f"{step}: the cluster has no peer to send it to")
    namespace, cluster = subject["metadata"]["namespace"], subject["spec"]["clusterRef"]["name"]
    if isinstance(step, CreateCollection | CreateShardKey):
        _check_no_removal(context, namespace, cluster, step)
        with context.in_flight_creations.track(namespace, cluster):
            await ask(context.qdrant, endpoint, step)
    elif isinstance(step, RemoveShardKey):
        with context.shard_locks.hold(namespace, cluster, str(step)):
            await _check_no_transfer(context, namespace, cluster, step)
            await ask(context.qdrant, endpoint, step)
    else:
        await ask(context.qdrant, endpoint, step)


async def _check_no_transfer(context: Context, namespace: str, cluster: str, step: RemoveShardKey) -> None:
    """Observe all peers once more: Qdrant hangs permanently when a key is removed while a shard of it is transferred.

    Raises:
        Retryable: a shard of the key is being transferred, or may be soon.
    """
    access = await cluster_access(context.kubernetes, namespace, cluster)
    views = answering(await asyncio.gather(*(view_of(context, endpoint) for endpoint in access.endpoints)))
    seen = keys_seen(step.name, views).get(step.key)
    pending = any(view.pending for view in views) or len({view.commit for view in views}) > 1
    reason = seen.unsettled if seen else "it is already gone"
    if pending:
        reason = "consensus has pending entries"
    if reason:
        raise Retryable(f"{step}: {reason}; checking again", after=0.5)


def _check_no_removal(context: Context, namespace: str, cluster: str, step: CollectionStep) -> None:
    """Qdrant places new shards also on a peer that is just being removed from consensus.

    Raises:
        Retryable: a peer is being removed.
    """
    found = context.kubernetes.cached_one(Kind.CLUSTER, namespace, cluster)
    leaving = read_status(ClusterStatus, found).leaving if found else None
    if leaving and leaving.phase == "Removing":
        raise Retryable(f"{step}: waiting until the peer of {leaving.pod} is removed", after=1.0)


async def ask(qdrant: Qdrant, endpoint: Endpoint, step: CollectionStep) -> None:
    """Make the one call of a step that concerns Qdrant."""
    match step:
        case CreateCollection(name, body):
            await qdrant.create_collection(endpoint, name, body)
        case TakeOver(name, owner):
            await qdrant.update_collection(endpoint, name, {"metadata": {OWNER_KEY: owner}})
        case UpdateCollection() | StartOptimizations():
            await qdrant.update_collection(endpoint, step.name, step.body)
        case CreateShardKey():
            await _create_key(qdrant, endpoint, step)
        case RemoveShardKey():
            await _remove_key(qdrant, endpoint, step)
        case CreatePayloadIndex(name, field, schema) | ReplacePayloadIndex(name, field, schema):
            await qdrant.put_payload_index(endpoint, name, field, schema)
        case DropPayloadIndex(name, field):
            await qdrant.delete_payload_index(endpoint, name, field)
        case MoveAliases():
            await qdrant.update_aliases(endpoint, step.actions)
        case DeleteCollection(name):
            await qdrant.delete_collection(endpoint, name)


async def _create_key(qdrant: Qdrant, endpoint: Endpoint, step: CreateShardKey) -> None:
    """A key may exist although no peer listed it: a client created it since the observation."""
    try:
        await qdrant.create_shard_key(endpoint, step.name, step.body)
    except Refused as error:
        if error.reason == "AlreadyExists":
            raise Retryable(f"shard key {step.key} of {step.name} already exists: checking again") from error
        raise


async def _remove_key(qdrant: Qdrant, endpoint: Endpoint, step: RemoveShardKey) -> None:
    """An empty key is counted once more: applications may have written since the observation."""
    try:
        points = 0 if step.consented else await qdrant.count_key_points(endpoint, step.name, step.key)
        if points:
            raise Retryable(
                f"shard key {step.label} of {step.name} holds {points} points now: checking again"
            )
        await qdrant.delete_shard_key(endpoint, step.name, step.key)
    except Refused as error:
        if error.reason == "NotFound":
            raise Retryable(
                f"shard key {step.label} of {step.name} is already gone: checking again"
            ) from error
        raise
