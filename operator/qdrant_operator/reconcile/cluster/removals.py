"""Deletes the pod and the volume of a removed peer: one replica, one claim, each identified by version or uid."""

from __future__ import annotations

from qdrant_operator.domain.cluster import records
from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.scale_in import plan_membership, roles
from qdrant_operator.domain.cluster.observed import LeavingPhase, MarkVolume
from qdrant_operator.domain.cluster.steps import DeleteClaim, RecordLeaving, ScaleInStatefulSet
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.names import pod_name
from qdrant_operator.reconcile.cluster.scope import Scope
from qdrant_operator.reconcile.cluster.shards import observe_again
from qdrant_operator.reconcile.cluster.volumes import mark_volume
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


async def act_on_removal(
    context: Context,
    subject: Manifest,
    scope: Scope,
    step: RecordLeaving | ScaleInStatefulSet | DeleteClaim | MarkVolume,
) -> None:
    """Carry out one step of a removal, or mark a volume.

    Raises:
        Conflict: the state that the step was planned on has changed.
    """
    match step:
        case RecordLeaving():
            await _record(context, subject, step)
        case ScaleInStatefulSet():
            await _lower(context, subject, scope, step)
        case DeleteClaim():
            await _delete(context, subject, step)
        case MarkVolume():
            await mark_volume(context, subject, step)


async def _record(context: Context, subject: Manifest, step: RecordLeaving) -> None:
    if step.leaving is None or step.leaving.phase is LeavingPhase.REMOVING:
        await _refuse_earlier_writes(context, subject)
    meta, status = subject["metadata"], dict(subject.get("status") or {})
    status.pop("leaving", None)
    if step.leaving is not None:
        status["leaving"] = records.write_leaving(step.leaving).manifest()
    await context.kubernetes.patch_status(
        Kind.CLUSTER, meta["namespace"], meta["name"], resource_version=meta["resourceVersion"], status=status
    )


async def _refuse_earlier_writes(context: Context, subject: Manifest) -> None:
    """Give the StatefulSet a new version: every write to it names the observed version.

    A late write of an earlier operator, from before the removal, could create pods above the one that leaves, or
    delete a pod from which another peer has joined.
    """
    meta = subject["metadata"]
    body = {"metadata": {"annotations": {names.ANNOTATION_RECORDED: meta["resourceVersion"]}}}
    if context.kubernetes.cached_one(Kind.STATEFUL_SET, meta["namespace"], meta["name"]) is not None:
        await context.kubernetes.patch(Kind.STATEFUL_SET, meta["namespace"], meta["name"], body)


async def _lower(context: Context, subject: Manifest, scope: Scope, step: ScaleInStatefulSet) -> None:
    """Scale in by exactly one pod, on exactly the version that was read live."""
    meta = subject["metadata"]
    await _expect_no_peer_joined(context, scope, step)
    live = await context.kubernetes.read(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    if live is None or live["spec"].get("replicas") != step.replicas + 1:
        raise Conflict("the StatefulSet has another number of pods than expected: retrying", after=0.5)
    if step.pod != pod_name(meta["name"], step.replicas):
        raise Conflict(f"{step.pod} is not the topmost pod: retrying", after=0.5)
    body = {
        "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
        "spec": {"replicas": step.replicas},
    }
    await context.kubernetes.patch(Kind.STATEFUL_SET, meta["namespace"], meta["name"], body)


async def _expect_no_peer_joined(context: Context, scope: Scope, step: ScaleInStatefulSet) -> None:
    """Observe the peers again: the kubelet restarts the container of a pod whose peer has never joined.

    Raises:
        Conflict: by the present views of the peers the pod must not be deleted.
    """
    fresh = await observe_again(context, scope)
    layout = build_layout(fresh, roles(scope.desired, fresh))
    if step not in plan_membership(scope.desired, fresh, layout).steps:
        raise Conflict(
            f"{step.pod}: a peer may have joined from it since the observation; retrying", after=0.5
        )


async def _delete(context: Context, subject: Manifest, step: DeleteClaim) -> None:
    namespace = subject["metadata"]["namespace"]
    pod = step.claim.removeprefix("storage-")
    if await context.kubernetes.read(Kind.POD, namespace, pod) is not None:
        raise Conflict(f"{pod} still exists: retrying", after=0.5)
    await context.kubernetes.delete(Kind.CLAIM, namespace, step.claim, uid=step.uid)
