"""Sends operations on shards and peers, each after a fresh observation of every peer.

It decides nothing: it only refuses (`Conflict`, observe again) a step that is no longer valid.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.identity import in_cluster
from qdrant_operator.domain.cluster.membership.orphaned_replicas import why_not_purge
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.shard_health import health
from qdrant_operator.domain.cluster.steps import PurgePeerId, RemovePeer
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.names import FIELD_MANAGER, LABEL_SERVING
from qdrant_operator.domain.placement.preflight import why_not
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.reconcile import access
from qdrant_operator.reconcile.cluster.observe import read_views, service_addresses
from qdrant_operator.reconcile.cluster.scope import Scope
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Endpoint, Json, Kind, Manifest

REMOVAL_KEY = f"{FIELD_MANAGER}-removal"
"""Key of the cluster's metadata in consensus: the peer whose removal was requested last."""
FURTHER_OBSERVATIONS, OBSERVATION_SECONDS = 5, 0.3
"""A leader reports a commit to its followers with its next heartbeat, Qdrant's `tick_period_ms`: 100 ms by default."""


async def act_on_shard(context: Context, scope: Scope, step: PlacementStep) -> None:
    """Send one operation of POST /collections/{c}/cluster.

    Raises:
        Conflict: the state that the step was planned on has changed, or Qdrant refuses.
    """
    with context.shard_locks.hold(scope.desired.namespace, scope.desired.name, str(step)):
        await _send(context, scope, step)


async def _send(context: Context, scope: Scope, step: PlacementStep) -> None:
    fresh = await observe_again(context, scope)
    reason = why_not(step, build_layout(fresh, roles(scope.desired, fresh)))
    if reason:
        raise Conflict(f"{step}: {reason}; retrying", after=0.5)
    try:
        await context.qdrant.update_shards(_through(scope, fresh), step.shard[0], body(step))
    except Refused as error:
        raise Conflict(f"{step}: {error.message}; retrying", after=1.0) from error


async def act_on_peer(
    context: Context, subject: Manifest, scope: Scope, step: RemovePeer | PurgePeerId
) -> None:
    """Remove a peer from consensus, or purge an id that is not in the cluster.

    Raises:
        Conflict: the state that the step was planned on has changed, or Qdrant refuses.
    """
    if isinstance(step, PurgePeerId):
        await purge_peer_id(context, scope, step)
    else:
        await remove_peer(context, subject, scope, step)


async def remove_peer(context: Context, subject: Manifest, scope: Scope, step: RemovePeer) -> None:
    """Remove a peer from consensus through another one.

    Raises:
        Conflict: it was already removed, it holds shards, clients may still reach it, the rest is no majority, or
            Qdrant refuses.
    """
    fresh = await _after_consensus(context, scope, step)
    layout = build_layout(fresh, roles(scope.desired, fresh))
    if not in_cluster(fresh, step.peer):
        raise Conflict(f"{step}: the leader has already applied this; retrying", after=0.5)
    reached = not step.force and await _is_reached(context, subject, step.pod)
    reason = "clients may still reach it" if reached else why_not_remove(step, layout)
    if not step.force:
        reason = reason or _unfinished(fresh)
    if step.force and any(view.peer == step.peer for view in fresh.peers.values()):
        reason = "it answers again"
    _allow(context, scope, step, reason)
    await _take_out(context, _through(scope, fresh, excluded=step.pod), step, force=step.force)


async def purge_peer_id(context: Context, scope: Scope, step: PurgePeerId) -> None:
    """Purge an id that is not in the cluster from the shard tables; in Qdrant's API that is a removal by force.

    Raises:
        Conflict: it is in the cluster, a shard would lose its only sound replica, a peer does not answer, a
            collection is being created, or Qdrant refuses.
    """
    fresh = await _after_consensus(context, scope, step)
    layout = build_layout(fresh, roles(scope.desired, fresh))
    reason = why_not_purge(step.peer, fresh, layout) or _unfinished(fresh)
    _allow(context, scope, step, reason)
    await _take_out(context, _through(scope, fresh), step, force=True)


async def _write_barrier(context: Context, scope: Scope, step: RemovePeer | PurgePeerId) -> None:
    """Write a key to consensus and wait for it: all earlier entries of the leader's log are applied by then.

    Without a quorum the creation of a collection that an earlier operator sent may wait there, and no view shows it.
    """
    through = _through(scope, scope.observed, excluded=step.pod if isinstance(step, RemovePeer) else "")
    await context.qdrant.put_cluster_key(through, REMOVAL_KEY, {"peer": int(step.peer)})


async def _after_consensus(context: Context, scope: Scope, step: RemovePeer | PurgePeerId) -> Observed:
    """A fresh observation after all earlier proposals are applied; followers apply them a moment later."""
    await _write_barrier(context, scope, step)
    fresh = await observe_again(context, scope)
    for _ in range(FURTHER_OBSERVATIONS):
        if not _unfinished(fresh):
            break
        await context.clock.sleep(OBSERVATION_SECONDS)
        fresh = await observe_again(context, scope)
    return fresh


def _allow(context: Context, scope: Scope, step: RemovePeer | PurgePeerId, reason: str) -> None:
    """Refuse for the given reason, or because a collection is being created and may be placed on the peer.

    Raises:
        Conflict: states the reason.
    """
    if not reason and context.in_flight_creations.any_for(scope.desired.namespace, scope.desired.name):
        reason = "a collection is being created"
    if reason:
        raise Conflict(f"{step}: {reason}; retrying", after=0.5)


async def _take_out(
    context: Context, through: Endpoint, step: RemovePeer | PurgePeerId, *, force: bool
) -> None:
    try:
        await context.qdrant.remove_peer(through, step.peer, force=force)
    except Refused as error:
        raise Conflict(f"{step}: {error.message}; retrying", after=1.0) from error


async def _is_reached(context: Context, subject: Manifest, name: str) -> bool:
    """Whether the client Service sends requests to a pod, or soon will: a recreated pod is in service."""
    pod = await context.kubernetes.read(Kind.POD, subject["metadata"]["namespace"], name)
    if pod is None:
        return False
    serving = (pod["metadata"].get("labels") or {}).get(LABEL_SERVING) == "true"
    terminating = "deletionTimestamp" in pod["metadata"]
    return serving or terminating or access.address(pod) in await service_addresses(context, subject)


def _unfinished(fresh: Observed) -> str:
    """Qdrant checks for shards before it proposes the removal: earlier entries must be applied by then."""
    views = fresh.peers.values()
    if any(view.pending for view in views) or len({view.commit for view in views}) > 1:
        return "consensus has pending entries"
    return ""


async def observe_again(context: Context, scope: Scope) -> Observed:
    """The same pods, with fresh views of their peers."""
    views = await read_views(context, scope.observed.pods, scope.endpoints)
    return replace(
        scope.observed, views=views, shards=health(views, scope.observed.wants, scope.observed.floors)
    )


def _through(scope: Scope, fresh: Observed, *, excluded: str = "") -> Endpoint:
    """The leader's endpoint, else any answering peer's; never that of the excluded pod.

    Raises:
        Conflict: no other peer answers.
    """
    leader = fresh.pod_of(fresh.leader)
    pods = sorted((pod for pod in fresh.peers if pod != excluded), key=lambda pod: (pod != leader, pod))
    if not pods:
        raise Conflict("no other peer answers; retrying", after=1.0)
    return scope.endpoints[pods[0]]


def body(step: PlacementStep) -> Json:
    """The body of Qdrant's request for the step."""
    shard = step.shard[1]
    match step:
        case DropReplica():
            return {"drop_replica": {"shard_id": shard, "peer_id": step.peer}}
        case AbortTransfer():
            ends = {"from_peer_id": step.source, "to_peer_id": step.target}
            return {"abort_transfer": {"shard_id": shard, **ends}}
        case ReplicateShard() | MoveShard():
            verb = "move_shard" if isinstance(step, MoveShard) else "replicate_shard"
            ends = {"from_peer_id": step.source, "to_peer_id": step.target}
            return {verb: {"shard_id": shard, **ends, "method": step.method}}
