"""Conditions of a QdrantCluster: Ready, Progressing, Degraded and Blocked, from one decision. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from qdrant_operator.domain.cluster.consensus import stopped_consensus
from qdrant_operator.domain.cluster.decision import Decision
from qdrant_operator.domain.cluster.membership.identity import detached_pods
from qdrant_operator.domain.cluster.observed import BootstrapPhase, Observed
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.common.text import counted
from qdrant_operator.domain.manifests.stateful_set import template_hash

STARTING = timedelta(minutes=2)
"""A pod younger than this may be silent: its container starts, and its peer joins and catches up."""
LASTING = timedelta(minutes=1)
"""An older error between peers is over: Qdrant keeps it until the next message, and leaders send several a second. The
value leaves room for clock skew."""


class Reason(StrEnum):
    """Reasons of a QdrantCluster's conditions."""

    READY = "AllPeersReady"
    FORMING = "Forming"
    UPDATING = "Updating"
    SCALING = "Scaling"
    STARTING = "PodsStarting"
    PEERS_DOWN = "PeersDown"
    PEERS_APART = "PeerConnectivityLost"
    NO_LEADER = "NoLeader"
    SPLIT = "SplitBrain"
    CONSENSUS_STOPPED = "ConsensusStopped"
    REPLICAS_NOT_SOUND = "ReplicasNotSound"
    SETTLED = "Settled"
    HEALTHY = "Healthy"
    FREE = "NoBlockedSteps"


def ready(decision: Decision) -> Condition:
    """True only when the cluster matches its spec and every part of it is sound."""
    desired = decision.desired
    for reason, message in _unready(decision):
        if message:
            return Condition("Ready", status=False, reason=reason, message=message)
    peers = counted(desired.spec.replicas, "peer")
    follow = "follows" if desired.spec.replicas == 1 else "follow"
    message = f"{peers} {follow} one leader; every shard is at its replication factor"
    return Condition("Ready", status=True, reason=Reason.READY, message=message)


def _unready(decision: Decision) -> Sequence[tuple[Reason, str]]:
    desired, observed = decision.desired, decision.observed
    outdated = _outdated(desired, observed)
    return (
        (Reason.FORMING, "" if is_formed(observed) else "the peers have not formed one cluster yet"),
        (Reason.SPLIT, _split(observed)),
        (Reason.CONSENSUS_STOPPED, stopped_consensus(observed)),
        (Reason.UPDATING, f"pods to restart: {', '.join(outdated)}" if outdated else ""),
        (Reason.SCALING, _scaling(desired, observed)),
        (Reason.PEERS_DOWN, _peers_down(observed)),
        (
            Reason.NO_LEADER,
            "" if observed.leader is not None else "no leader is followed by a majority of the peers",
        ),
        (Reason.REPLICAS_NOT_SOUND, _ill_shards(observed)),
        (Reason.UPDATING, _drift(decision)),
    )


def _split(observed: Observed) -> str:
    outside = detached_pods(observed)
    return (
        f"{', '.join(outside)} runs a cluster of its own and is out of the client Service" if outside else ""
    )


def _scaling(desired: DesiredCluster, observed: Observed) -> str:
    if observed.leaving:
        return f"the peer of {observed.leaving.pod} is being removed"
    if len(observed.pods) == desired.spec.replicas:
        return ""
    exist = "exists" if len(observed.pods) == 1 else "exist"
    return f"{counted(len(observed.pods), 'pod')} {exist}, {desired.spec.replicas} wanted"


def _peers_down(observed: Observed) -> str:
    """Also peers that answer the operator and do not know each other."""
    good = set(ready_pods(observed))
    down = [pod.name for pod in observed.pods if pod.name not in good]
    if down:
        return f"not ready: {', '.join(down)}"
    ids = {view.peer for view in observed.peers.values()}
    apart = [name for name, view in sorted(observed.peers.items()) if not ids <= set(view.peers)]
    return f"{', '.join(apart)} does not know every peer" if apart else ""


def _ill_shards(observed: Observed) -> str:
    ill = [shard for shard in observed.shards if not shard.healthy]
    listed = "; ".join(f"{s.label} has {len(s.sound)} of {s.wanted} sound replicas" for s in ill[:5])
    return listed + (f"; and {len(ill) - 5} more" if len(ill) > 5 else "")


def _drift(decision: Decision) -> str:
    """Without the disruption budget: it follows the health of the peers, and no client uses it."""
    drifted = [drift.name for drift in decision.changes.drift if drift.kind is not Kind.DISRUPTION_BUDGET]
    return f"objects to restore: {', '.join(drifted[:5])}" if drifted else ""


def conditions(decision: Decision) -> tuple[Condition, ...]:
    """Ready, Progressing, Degraded and Blocked."""
    state, observed, plan = ready(decision), decision.observed, decision.plan
    return (state, _progressing(state, observed, plan), _degraded(observed, plan), _blocked(plan))


def _progressing(state: Condition, observed: Observed, plan: ClusterPlan) -> Condition:
    """Steps are planned, or forming, scaling, a restart, a transfer or the start of a pod is not complete."""
    if plan.steps:
        return Condition("Progressing", status=True, reason=Reason.UPDATING, message=str(plan.steps[0]))
    unfinished = state.reason in (Reason.FORMING, Reason.UPDATING, Reason.SCALING)
    if unfinished or (state.reason == Reason.REPLICAS_NOT_SOUND and is_moving(observed)):
        return Condition("Progressing", status=True, reason=state.reason, message=state.message)
    young = _starting(observed)
    if young and not state.status:
        message = f"started a moment ago: {', '.join(young)}"
        return Condition("Progressing", status=True, reason=Reason.STARTING, message=message)
    return Condition("Progressing", status=False, reason=Reason.SETTLED, message="nothing is left to do")


def _starting(observed: Observed) -> list[str]:
    """Young pods, unless the kubelet says why they do not run."""
    since = observed.now - STARTING if observed.now else None
    pods = (pod for pod in observed.pods if pod.created and not pod.waiting)
    return [pod.name for pod in pods if since and datetime.fromisoformat(pod.created) > since]


def _degraded(observed: Observed, plan: ClusterPlan) -> Condition:
    """Something that ran before does not run; a forming cluster is degraded only where it cannot form by itself."""
    if not is_formed(observed):
        stuck = next(
            (wait.message for wait in plan.blocked if wait.guard is ClusterGuard.NO_PEER_ON_VOLUMES), ""
        )
        found = (
            (Reason.PEERS_DOWN, stuck)
            if stuck
            else (Reason.FORMING, "the peers have not formed one cluster yet")
        )
        return Condition("Degraded", status=bool(stuck), reason=found[0], message=found[1])
    for reason, message in (
        (Reason.SPLIT, _split(observed)),
        (Reason.CONSENSUS_STOPPED, stopped_consensus(observed)),
        (Reason.PEERS_DOWN, _silent(observed)),
        (Reason.PEERS_APART, _apart(observed)),
        (Reason.REPLICAS_NOT_SOUND, _ill_shards(observed)),
    ):
        if message:
            return Condition("Degraded", status=True, reason=reason, message=message)
    return Condition("Degraded", status=False, reason=Reason.HEALTHY, message="nothing is broken")


def _silent(observed: Observed) -> str:
    return "; ".join(f"{pod}: {reason}" for pod, reason in sorted(observed.silent.items()))[:1024]


def _apart(observed: Observed) -> str:
    """Peers that the operator reaches and another peer does not: the network between pods is at fault."""
    pods = {view.peers.get(view.peer): pod for pod, view in observed.peers.items()}
    failures = [
        f"{pod} cannot send to {pods[uri]}: {error}"
        for pod, view in sorted(observed.peers.items())
        for uri, error in sorted(view.send_failures.items())
        if uri in pods and _lasts(view.send_failed_at.get(uri), observed.now)
    ]
    return "; ".join(failures)[:1024]


def _lasts(failed: datetime | None, now: datetime | None) -> bool:
    return failed is None or now is None or now - failed < LASTING


def _blocked(plan: ClusterPlan) -> Condition:
    if not plan.blocked:
        return Condition("Blocked", status=False, reason=Reason.FREE, message="no step is blocked")
    first = plan.blocked[0]
    message = f"{first.step}: {first.message}"[:1024]
    return Condition("Blocked", status=True, reason=first.guard, message=message)


def is_moving(observed: Observed) -> bool:
    """Whether a transfer of a shard runs."""
    return any(c.transfers for view in observed.peers.values() for c in view.collections)


def ready_pods(observed: Observed) -> list[str]:
    """Pods that are ready and whose peers are in the cluster."""
    outside = detached_pods(observed)
    return [
        pod.name
        for pod in observed.pods
        if pod.ready and pod.name in observed.peers and pod.name not in outside
    ]


def is_formed(observed: Observed) -> bool:
    """Whether the cluster was ever complete."""
    return observed.bootstrap is not None and observed.bootstrap.phase is BootstrapPhase.COMPLETE


def _outdated(desired: DesiredCluster, observed: Observed) -> list[str]:
    wanted = template_hash(desired)
    return [pod.name for pod in observed.pods if pod.template_hash != wanted or pod.terminating]


def refused(error: Refused) -> tuple[Condition, ...]:
    """Conditions of a spec that cannot be applied: the running cluster does not change."""
    return (
        Condition("Ready", status=False, reason=error.reason, message=error.message),
        Condition("Progressing", status=False, reason=error.reason, message=error.message),
        Condition("Blocked", status=True, reason=error.reason, message=error.message),
    )
