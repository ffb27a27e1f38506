"""Carrying out one step for a QdrantCollection: one call to Qdrant, or one patch of the object's finalizers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

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

REASKED_AFTER = timedelta(seconds=60)
"""An index that was asked for and is not there: Qdrant builds in the background and shows nothing meanwhile.
Asking again is harmless (each asking is one entry in the shards' queues), asking every second is not."""
RETRIED_AFTER = timedelta(seconds=30)
"""A step that Qdrant refused is tried again at this pace: what it disliked may have changed."""
STARTED_AGAIN = timedelta(minutes=1)
STARTED_AT_LAST = timedelta(hours=1)
"""Pauses before pending optimizations are started again: doubled from the first to the last, until none are left."""
FORGOTTEN_AFTER = timedelta(minutes=10)
"""Longer than the longest pause between two passes over one object."""

IndexStep = CreatePayloadIndex | ReplacePayloadIndex | DropPayloadIndex


async def act(context: Context, subject: Manifest, endpoint: Endpoint | None, step: CollectionStep) -> None:
    """Carry out one step.

    Raises:
        Refused: Qdrant or Kubernetes says no.
        Retryable: neither done nor failed for certain: look again.
    """
    if isinstance(step, AddFinalizer):
        await add_finalizer(context, Kind.COLLECTION, subject)
        return
    if isinstance(step, RemoveFinalizer):
        await remove_finalizer(context, Kind.COLLECTION, subject)
        return
    if endpoint is None:
        raise Refused("ClusterNotFound", f"there is no peer to ask: {step}")
    if isinstance(step, CreateCollection | CreateShardKey):
        _nobody_leaves(context, subject, step)
        with context.in_flight_creations.track(
            subject["metadata"]["namespace"], subject["spec"]["clusterRef"]["name"]
        ):
            await ask(context.qdrant, endpoint, step)
        return
    if isinstance(step, RemoveShardKey):
        meta, cluster = subject["metadata"], subject["spec"]["clusterRef"]["name"]
        with context.shard_locks.hold(meta["namespace"], cluster, str(step)):
            await _nothing_moves(context, meta["namespace"], cluster, step)
            await ask(context.qdrant, endpoint, step)
        return
    await ask(context.qdrant, endpoint, step)


async def _nothing_moves(context: Context, namespace: str, cluster: str, step: RemoveShardKey) -> None:
    """Look at all peers once more: Qdrant does not survive that a key goes while a shard of it is on its way."""
    access = await cluster_access(context.kubernetes, namespace, cluster)
    views = answering(await asyncio.gather(*(view_of(context, endpoint) for endpoint in access.endpoints)))
    seen = keys_seen(step.name, views).get(step.key)
    underway = any(view.pending for view in views) or len({view.commit for view in views}) > 1
    reason = (
        "consensus has entries on their way" if underway else seen.unsettled if seen else "it is gone already"
    )
    if reason:
        raise Retryable(f"{step}: {reason}; looking again", after=0.5)


def _nobody_leaves(context: Context, subject: Manifest, step: CollectionStep) -> None:
    """Qdrant would put new shards on a peer that is just being removed from consensus."""
    name = subject["spec"]["clusterRef"]["name"]
    cluster = context.kubernetes.cached_one(Kind.CLUSTER, subject["metadata"]["namespace"], name)
    leaving = read_status(ClusterStatus, cluster).leaving if cluster else None
    if leaving and leaving.phase == "Removing":
        raise Retryable(f"{step}: waits until the peer of {leaving.pod} is removed", after=1.0)


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
    """A key that is there although no peer told of it: the look was older than somebody's write."""
    try:
        await qdrant.create_shard_key(endpoint, step.name, step.body)
    except Refused as error:
        if error.reason == "AlreadyExists":
            raise Retryable(f"shard key {step.key} of {step.name} is there already: looking again") from error
        raise


async def _remove_key(qdrant: Qdrant, endpoint: Endpoint, step: RemoveShardKey) -> None:
    """An empty key is counted once more: applications may have written since the look."""
    try:
        points = 0 if step.consented else await qdrant.count_key_points(endpoint, step.name, step.key)
        if points:
            raise Retryable(f"shard key {step.label} of {step.name} holds {points} points now: looking again")
        await qdrant.delete_shard_key(endpoint, step.name, step.key)
    except Refused as error:
        if error.reason == "NotFound":
            raise Retryable(
                f"shard key {step.label} of {step.name} is gone already: looking again"
            ) from error
        raise


class Memory:
    """What this process asked of Qdrant lately for each object: lost at a restart, and then asked once more."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` is the clock port's."""
        self._now = now
        self._recent: dict[str, _Recent] = {}

    def begin(self, uid: str, generation: int) -> None:
        """A pass begins: what was asked or refused for another generation of the spec counts no more."""
        known = self._recent.get(uid)
        if known is None or known.generation != generation:
            self._forget()
            known = self._recent[uid] = _Recent(generation, self._now())
        known.begun = self._now()

    def _forget(self) -> None:
        """Objects that had no pass for long are gone."""
        oldest = self._now() - FORGOTTEN_AFTER
        self._recent = {uid: known for uid, known in self._recent.items() if known.begun > oldest}

    def done(self, uid: str, step: CollectionStep) -> None:
        """A step was taken."""
        self._recent[uid].refused.pop(str(step), None)
        if isinstance(step, StartOptimizations):
            self._recent[uid].starts += 1
            self._recent[uid].started = self._now()
        if isinstance(step, IndexStep):
            self._recent[uid].asked[step.field] = self._now()

    def refused(self, uid: str, step: CollectionStep, why: str) -> None:
        """A step was refused."""
        self._recent[uid].refused[str(step)] = (why, self._now())

    def building(self, uid: str) -> frozenset[str]:
        """Payload fields whose index was asked for a moment ago."""
        asked = self._recent[uid].asked.items()
        return frozenset(field for field, when in asked if self._now() - when < REASKED_AFTER)

    def optimized(self, uid: str) -> None:
        """Nothing is left to optimize: the next start is a first one."""
        self._recent[uid].starts = 0

    def may_start(self, uid: str, step: StartOptimizations) -> bool:
        """Whether pending optimizations may be started now."""
        known = self._recent[uid]
        if known.started is None or not known.starts:
            return not self.rests(uid, step)
        pause = min(STARTED_AGAIN * 2 ** min(known.starts - 1, 10), STARTED_AT_LAST)
        return self._now() - known.started >= pause and not self.rests(uid, step)

    def refusal(self, uid: str, step: CollectionStep) -> str | None:
        """Why a step was refused when it was last tried; None when it was not."""
        known = self._recent[uid].refused.get(str(step))
        return known[0] if known else None

    def rests(self, uid: str, step: CollectionStep) -> bool:
        """Whether a refused step is not to be tried again yet."""
        known = self._recent[uid].refused.get(str(step))
        return known is not None and self._now() - known[1] < RETRIED_AFTER


@dataclass(slots=True)
class _Recent:
    generation: int
    begun: datetime
    asked: dict[str, datetime] = field(default_factory=dict)
    refused: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    starts: int = 0
    """How often optimizations were started since none were left."""
    started: datetime | None = None
