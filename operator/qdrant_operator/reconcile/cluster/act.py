"""Carries out exactly one step of a cluster's plan; each step is re-checked before it writes."""

from __future__ import annotations

from typing import assert_never

from qdrant_operator.domain.cluster import records
from qdrant_operator.domain.cluster.observed import BootstrapPhase, Drift, MarkVolume, PodState
from qdrant_operator.domain.cluster.pods.rollout import is_down
from qdrant_operator.domain.cluster.steps import (
    ApplyObject,
    DeleteClaim,
    DeleteObject,
    MarkCluster,
    PurgePeerId,
    PutInService,
    RecordBootstrap,
    RecordLeaving,
    RemovePeer,
    RestartPod,
    RetriggerStatefulSet,
    ScaleInStatefulSet,
    Step,
    TakeOutOfService,
)
from qdrant_operator.domain.cluster.volumes.evidence import may_hold_data
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict, Refused
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.manifests.secrets import PEER_KEY
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica, MoveShard, ReplicateShard
from qdrant_operator.reconcile.cluster.observe import UID_KEY, live_claims
from qdrant_operator.reconcile.cluster.pods import live_pods
from qdrant_operator.reconcile.cluster.removals import act_on_removal
from qdrant_operator.reconcile.cluster.scope import Scope
from qdrant_operator.reconcile.cluster.shards import act_on_peer, act_on_shard
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.objects.belonging import belongs
from qdrant_operator.reconcile.objects.clashes import refuse_anothers
from qdrant_operator.reconcile.ports import Kind, Manifest


async def act(context: Context, subject: Manifest, scope: Scope, step: Step) -> None:
    """Carry out one step.

    Raises:
        Refused: the step cannot be carried out and the user must act.
        Retryable: the step may have been carried out: observe again.
    """
    match step:
        case RecordBootstrap():
            await _record(context, subject, step)
        case ApplyObject() | DeleteObject():
            await _act_on_object(context, subject, step)
        case RetriggerStatefulSet():
            await _retrigger(context, subject)
        case MarkCluster():
            value = {"uid": subject["metadata"]["uid"]}
            await context.qdrant.put_cluster_key(scope.endpoints[step.pod], UID_KEY, value)
        case TakeOutOfService() | PutInService():
            await _label(context, subject, scope, step)
        case RestartPod():
            await _restart(context, subject, scope, step)
        case ReplicateShard() | MoveShard() | DropReplica() | AbortTransfer():
            await act_on_shard(context, scope, step)
        case RemovePeer() | PurgePeerId():
            await act_on_peer(context, subject, scope, step)
        case RecordLeaving() | ScaleInStatefulSet() | DeleteClaim() | MarkVolume():
            await act_on_removal(context, subject, scope, step)
        case _:
            assert_never(step)


async def _record(context: Context, subject: Manifest, step: RecordBootstrap) -> None:
    """Check the decision to form a new cluster against live objects once more, then write or refuse it as a whole."""
    meta = subject["metadata"]
    if step.bootstrap.phase is BootstrapPhase.STARTED:
        live = await context.kubernetes.read(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
        claims = await live_claims(context, subject)
        if live is not None or any(map(may_hold_data, claims.values())):
            raise Conflict("volumes or a StatefulSet appeared: retrying", after=0.1)
    status = {
        **(subject.get("status") or {}),
        "bootstrap": records.write_bootstrap(step.bootstrap).manifest(),
    }
    await context.kubernetes.patch_status(
        Kind.CLUSTER, meta["namespace"], meta["name"], resource_version=meta["resourceVersion"], status=status
    )


async def _act_on_object(context: Context, subject: Manifest, step: ApplyObject | DeleteObject) -> None:
    meta = subject["metadata"]
    if isinstance(step, DeleteObject):
        obsolete = step.obsolete
        await context.kubernetes.delete(obsolete.kind, meta["namespace"], obsolete.name, uid=obsolete.uid)
        return
    drift = step.drift
    if not drift.fields:
        await _refuse_foreign(context, subject, drift)
    refuse_anothers(context.kubernetes, meta, drift.kind, drift.name)
    await context.kubernetes.apply(_as_seen(drift))


async def _retrigger(context: Context, subject: Manifest) -> None:
    meta = subject["metadata"]
    annotations = {names.ANNOTATION_REMINDED: context.clock.now().isoformat(timespec="seconds")}
    body = {"metadata": {"annotations": annotations}}
    await context.kubernetes.patch(Kind.STATEFUL_SET, meta["namespace"], meta["name"], body)


def _as_seen(drift: Drift) -> Manifest:
    """The manifest with uid and version of the observed object, so that only that version is changed.

    Otherwise a late write, for example after a slow status write, could recreate an object that was deleted in the
    meantime, remove pods that were added, or permit what is now forbidden.
    """
    if not drift.uid:
        return drift.manifest
    seen = {"uid": drift.uid, "resourceVersion": drift.version}
    return {**drift.manifest, "metadata": {**drift.manifest["metadata"], **seen}}


async def _refuse_foreign(context: Context, subject: Manifest, drift: Drift) -> None:
    """An object that the cache does not show may exist, belong to another owner, or hold a key.

    Raises:
        Refused: `NameClash`.
        Conflict: a Secret with another key appeared since the observation.
    """
    meta = subject["metadata"]
    live = await context.kubernetes.read(drift.kind, meta["namespace"], drift.name)
    if live is None:
        return
    if not belongs(live, meta["name"], meta["uid"]):
        raise Refused("NameClash", _clash(drift.kind, drift.name, meta["namespace"]))
    if drift.kind is Kind.SECRET and _key_in(live) not in ("", _key_in(drift.manifest)):
        raise Conflict(f"Secret {drift.name} appeared with a key: retrying", after=0.1)


def _key_in(secret: Manifest) -> str:
    return str((secret.get("data") or {}).get(PEER_KEY) or "")


def _clash(kind: Kind, name: str, namespace: str) -> str:
    """Remedy for a foreign object with the name of an owned one; it loses nothing that is in use."""
    start = (
        f"{kind.kind} {name!r} exists in namespace {namespace!r} and was not created for this QdrantCluster: "
    )
    if kind is Kind.SECRET:
        return (
            f"{start}the operator keeps a Secret of its own under this name; copy it under another name, name the "
            "copy in spec.auth.apiKey if it holds your API key, and delete the original when nothing uses it any "
            "more; or give the QdrantCluster another name"
        )
    return f"{start}give the QdrantCluster another name, or delete the {kind.kind} if nothing uses it"


async def _label(
    context: Context, subject: Manifest, scope: Scope, step: TakeOutOfService | PutInService
) -> None:
    """Set the service label on the observed version of the pod: a late write has no effect."""
    serving = "true" if isinstance(step, PutInService) else "false"
    pods = (*scope.observed.pods, *filter(None, (scope.observed.removed_pod,)))
    seen = next((pod.resource_version for pod in pods if pod.name == step.pod), "")
    meta: Manifest = {"labels": {names.LABEL_SERVING: serving}}
    if seen:
        meta["resourceVersion"] = seen
    await context.kubernetes.patch(Kind.POD, subject["metadata"]["namespace"], step.pod, {"metadata": meta})


def _state_of(pod: PodState) -> tuple[str, str, str, bool, bool]:
    return pod.name, pod.uid, pod.life, pod.ready, pod.terminating


async def _restart(context: Context, subject: Manifest, scope: Scope, step: RestartPod) -> None:
    """Delete a pod, unless it or another pod changed since the observation: the write of status may have taken long."""
    namespace = subject["metadata"]["namespace"]
    live = await live_pods(context, namespace, subject["metadata"]["name"])
    pod = next((pod for pod in live if pod.uid == step.uid), None)
    if pod is None:
        raise Conflict(f"{step.pod} was already recreated: retrying", after=0.1)
    seen = (*scope.observed.pods, scope.observed.removed_pod)
    changed = {_state_of(pod) for pod in live} ^ {_state_of(pod) for pod in seen if pod}
    others = sorted({name for name, *_ in changed} - {step.pod})
    if others and not is_down(pod):
        raise Conflict(f"{named(others)} changed since they were observed: retrying", after=0.1)
    if pod.ready and pod.serving:
        raise Conflict(f"{step.pod} is in service again: retrying", after=0.1)
    # On exactly the version that was read: a late deletion must not stop a pod that is in service again.
    await context.kubernetes.delete(
        Kind.POD, namespace, step.pod, uid=step.uid, resource_version=pod.resource_version
    )
