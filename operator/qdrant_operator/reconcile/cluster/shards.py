"""Sends operations on shards and members, each after a fresh look at every peer.

May not decide what is wanted: it only refuses (`Conflict`, look again) what is no longer right.
"""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.identity import is_member
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
"""Key of the cluster's metadata in consensus: whose removal was asked for last."""
FURTHER_LOOKS, LOOK_SECONDS = 5, 0.3
"""A leader tells its followers of a commit with its next heartbeat, Qdrant's `tick_period_ms`: 100 ms by default."""


async def act_on_shard(context: Context, scope: Scope, step: PlacementStep) -> None:
    """Send one operation of POST /collections/{c}/cluster.

    Raises:
        Conflict: the world is not what the step was planned on, or Qdrant says so.
    """
    with context.shard_locks.hold(scope.desired.namespace, scope.desired.name, str(step)):
        await _send(context, scope, step)


async def _send(context: Context, scope: Scope, step: PlacementStep) -> None:
    fresh = await asked_again(context, scope)
    reason = why_not(step, build_layout(fresh, roles(scope.desired, fresh)))
    if reason:
        raise Conflict(f"{step}: {reason}; looking again", after=0.5)
    try:
        await context.qdrant.update_shards(_through(scope, fresh), step.shard[0], body(step))
    except Refused as error:
        raise Conflict(f"{step}: {error.message}; looking again", after=1.0) from error


async def act_on_peer(
    context: Context, subject: Manifest, scope: Scope, step: RemovePeer | PurgePeerId
) -> None:
    """Take a member out of consensus, or clear an id that is none.

    Raises:
        Conflict: the world is not what the step was planned on, or Qdrant says so.
    """
    if isinstance(step, PurgePeerId):
        await purge_peer_id(context, scope, step)
    else:
        await remove_peer(context, subject, scope, step)


async def remove_peer(context: Context, subject: Manifest, scope: Scope, step: RemovePeer) -> None:
    """Take a member out of consensus through another one.

    Raises:
        Conflict: it is no member any more, it holds something, clients may still reach it, the rest is no
            majority, or Qdrant refuses.
    """
    fresh = await _after_consensus(context, scope, step)
    layout = build_layout(fresh, roles(scope.desired, fresh))
    if not is_member(fresh, step.peer):
        raise Conflict(f"{step}: the leader says that this was done; looking again", after=0.5)
    reached = not step.force and await _is_reached(context, subject, step.pod)
    reason = "clients may still reach it" if reached else why_not_remove(step, layout)
    if not step.force:
        reason = reason or _unfinished(fresh)
    if step.force and any(view.peer == step.peer for view in fresh.peers.values()):
        reason = "it answers again"
    _allow(context, scope, step, reason)
    await _take_out(context, _through(scope, fresh, but=step.pod), step, force=step.force)


async def purge_peer_id(context: Context, scope: Scope, step: PurgePeerId) -> None:
    """Clear an id that is no member from the shard tables: Qdrant's call for that is a removal by force.

    Raises:
        Conflict: it is a member, a shard would lose its only sound replica, somebody does not answer, a collection
            is being created, or Qdrant refuses.
    """
    fresh = await _after_consensus(context, scope, step)
    layout = build_layout(fresh, roles(scope.desired, fresh))
    reason = why_not_purge(step.peer, fresh, layout) or _unfinished(fresh)
    _allow(context, scope, step, reason)
    await _take_out(context, _through(scope, fresh), step, force=True)


async def _let_consensus_catch_up(context: Context, scope: Scope, step: RemovePeer | PurgePeerId) -> None:
    """Write a key to consensus and wait for it: what stands before it in the leader's log is carried out then.

    A collection whose creation an earlier operator sent may wait there without a quorum, and no view shows it.
    """
    through = _through(scope, scope.observed, but=step.pod if isinstance(step, RemovePeer) else "")
    await context.qdrant.put_cluster_key(through, REMOVAL_KEY, {"peer": int(step.peer)})


async def _after_consensus(context: Context, scope: Scope, step: RemovePeer | PurgePeerId) -> Observed:
    """A fresh look when all that was proposed before is carried out; followers hear of it a moment later."""
    await _let_consensus_catch_up(context, scope, step)
    fresh = await asked_again(context, scope)
    for _ in range(FURTHER_LOOKS):
        if not _unfinished(fresh):
            break
        await context.clock.sleep(LOOK_SECONDS)
        fresh = await asked_again(context, scope)
    return fresh


def _allow(context: Context, scope: Scope, step: RemovePeer | PurgePeerId, reason: str) -> None:
    """Refuse for a reason that was found, or because a collection may just be placed on the peer.

    Raises:
        Conflict: with the reason.
    """
    if not reason and context.in_flight_creations.any_for(scope.desired.namespace, scope.desired.name):
        reason = "a collection is being created"
    if reason:
        raise Conflict(f"{step}: {reason}; looking again", after=0.5)


async def _take_out(
    context: Context, through: Endpoint, step: RemovePeer | PurgePeerId, *, force: bool
) -> None:
    try:
        await context.qdrant.remove_peer(through, step.peer, force=force)
    except Refused as error:
        raise Conflict(f"{step}: {error.message}; looking again", after=1.0) from error


async def _is_reached(context: Context, subject: Manifest, name: str) -> bool:
    """Whether the client Service sends requests to a pod, or soon will: a pod that is made anew is in service."""
    pod = await context.kubernetes.read(Kind.POD, subject["metadata"]["namespace"], name)
    if pod is None:
        return False
    serving = (pod["metadata"].get("labels") or {}).get(LABEL_SERVING) == "true"
    going = "deletionTimestamp" in pod["metadata"]
    return serving or going or access.address(pod) in await service_addresses(context, subject)


def _unfinished(fresh: Observed) -> str:
    """Qdrant checks for shards before it proposes the removal: what is on its way there must have arrived."""
    views = fresh.peers.values()
    if any(view.pending for view in views) or len({view.commit for view in views}) > 1:
        return "consensus has pending entries"
    return ""


async def asked_again(context: Context, scope: Scope) -> Observed:
    """The same pods, asked once more."""
    views = await read_views(context, scope.observed.pods, scope.endpoints)
    return replace(
        scope.observed, views=views, shards=health(views, scope.observed.wants, scope.observed.floors)
    )


def _through(scope: Scope, fresh: Observed, *, but: str = "") -> Endpoint:
    """The leader's endpoint, else any answering peer's; never that of the peer in question.

    Raises:
        Conflict: no other peer answers.
    """
    leader = fresh.pod_of(fresh.leader)
    pods = sorted((pod for pod in fresh.peers if pod != but), key=lambda pod: (pod != leader, pod))
    if not pods:
        raise Conflict("no other peer answers; looking again", after=1.0)
    return scope.endpoints[pods[0]]


def body(step: PlacementStep) -> Json:
    """The step as Qdrant's request says it."""
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
