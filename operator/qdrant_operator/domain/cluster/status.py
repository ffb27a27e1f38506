"""The status of a QdrantCluster without its conditions, from one decision. Pure."""

from __future__ import annotations

from qdrant_operator.api.base import Blocked
from qdrant_operator.api.cluster.status import ClusterPhase, ClusterStatus, Endpoints, PeerStatus, ShardCounts
from qdrant_operator.domain.cluster import records
from qdrant_operator.domain.cluster.advice import advice
from qdrant_operator.domain.cluster.conditions import Reason, is_formed, is_moving, ready, ready_pods
from qdrant_operator.domain.cluster.decision import Decision
from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.observed import Observed, PodState
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked as BlockedStep
from qdrant_operator.domain.placement.planner import imbalance
from qdrant_operator.domain.placement.steps import DropReplica, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerView, View

SHOWN = 10
"""Steps and blocked steps that status lists; `planned` has the total."""


def facts(decision: Decision) -> ClusterStatus:
    """Everything in status except the conditions."""
    desired, observed, plan = decision.desired, decision.observed, decision.plan
    shards = _shards(desired, observed)
    return _with_records(
        ClusterStatus(
            phase=phase(decision),
            version=_common_version(observed),
            highest_version=decision.highest_version,
            leader=observed.pod_of(observed.leader),
            endpoint=_endpoint(desired),
            peers=tuple(_peer(pod, observed.views.get(pod.name)) for pod in observed.pods),
            peers_ready=f"{len(ready_pods(observed))}/{desired.spec.replicas}",
            shards=shards,
            shards_sound=f"{shards.sound}/{shards.wanted}",
            plan=tuple(str(step) for step in plan.steps[:SHOWN]),
            planned=len(plan.steps),
            blocked=_blocked(plan),
            advice=advice(desired, observed),
        ),
        observed,
    )


def _with_records(status: ClusterStatus, observed: Observed) -> ClusterStatus:
    """A record that does not exist is absent."""
    found = {
        "bootstrap": records.write_bootstrap(observed.bootstrap) if observed.bootstrap else None,
        "members": tuple(records.write_peer_record(record) for record in observed.records),
        "leaving": records.write_leaving(observed.leaving) if observed.leaving else None,
    }
    return status.model_copy(update={name: record for name, record in found.items() if record})


def _endpoint(desired: DesiredCluster) -> Endpoints:
    host = names.service_host(desired.name, desired.namespace)
    return Endpoints(
        rest=names.rest_url(host),
        grpc=f"{host}:{names.GRPC_PORT}",
        secret_name=names.auth_secret(desired.name),
    )


def _blocked(plan: ClusterPlan) -> tuple[Blocked, ...]:
    shown = plan.blocked[:SHOWN]
    return tuple(Blocked(step=wait.step, guard=wait.guard.value, message=wait.message) for wait in shown)


def _peer(pod: PodState, view: View | None) -> PeerStatus:
    if not isinstance(view, PeerView):
        return PeerStatus(pod=pod.name, state="Down" if pod.waiting else "Unreachable")
    local = [shard.local for found in view.collections for shard in found.shards if shard.local]
    return PeerStatus(
        pod=pod.name,
        id=int(view.peer),
        state="Active" if pod.ready else "NotReady",
        version=f"v{view.version}",
        zone=pod.zone or None,
        shards=len(local),
        points=sum(replica.points or 0 for replica in local),
        bytes=sum(replica.bytes for replica in local),
    )


def _shards(desired: DesiredCluster, observed: Observed) -> ShardCounts:
    return ShardCounts(
        wanted=sum(shard.wanted for shard in observed.shards),
        sound=sum(min(len(shard.sound), shard.wanted) for shard in observed.shards),
        dead=sum(len(shard.dead) for shard in observed.shards),
        transfers=len(_transfers(observed)),
        imbalance=imbalance(build_layout(observed, roles(desired, observed))),
    )


def _transfers(observed: Observed) -> set[tuple[object, ...]]:
    """Transfers that any peer lists, each once."""
    collections = [found for view in observed.peers.values() for found in view.collections]
    return {
        (found.name, transfer.shard, transfer.source, transfer.target)
        for found in collections
        for transfer in found.transfers
    }


def _common_version(observed: Observed) -> str | None:
    versions = {view.version for view in observed.peers.values()}
    return f"v{min(versions)}" if len(versions) == 1 else None


def phase(decision: Decision) -> ClusterPhase:
    """Summary for the STATUS column; the operator never reads it."""
    desired, observed, plan = decision.desired, decision.observed, decision.plan
    if desired.spec.paused:
        return ClusterPhase.PAUSED
    if not is_formed(observed):
        return ClusterPhase.BOOTSTRAPPING if observed.bootstrap else ClusterPhase.PENDING
    state = ready(decision)
    if state.status:
        return ClusterPhase.BLOCKED if plan.blocked else ClusterPhase.READY
    repairs = any(isinstance(step, ReplicateShard | DropReplica) for step in plan.steps)
    if state.reason == Reason.REPLICAS_NOT_SOUND and (repairs or is_moving(observed)):
        return ClusterPhase.REPAIRING
    return PHASES.get(Reason(state.reason), ClusterPhase.DEGRADED)


PHASES = {Reason.UPDATING: ClusterPhase.UPDATING, Reason.SCALING: ClusterPhase.SCALING}
"""Phases of a cluster that is not ready because of a change."""


def worth_a_warning(decision: Decision) -> tuple[BlockedStep, ...]:
    """Blocked steps that an Event reports; slow pods of a forming cluster are expected."""
    blocked, observed = decision.plan.blocked, decision.observed
    if is_formed(observed):
        return blocked
    explained = bool(observed.stuck_pods) or any(pod.waiting for pod in observed.pods)
    return tuple(wait for wait in blocked if explained and wait.guard in STOPPED_PODS)


STOPPED_PODS = (ClusterGuard.POD_NOT_RUNNING, ClusterGuard.VERSION_DOWNGRADE, ClusterGuard.VERSION_SKIP)
"""Guards of a pod whose container does not run."""
