"""What a QdrantCluster's status says: facts and conditions, derived from one look and one plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from qdrant_operator.domain.cluster.advice import advice
from qdrant_operator.domain.cluster.consensus import stopped_consensus
from qdrant_operator.domain.cluster.desired import DesiredCluster
from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.identity import detached_pods
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.observed import (
    Bootstrap,
    BootstrapPhase,
    Leaving,
    Member,
    Observed,
    PodState,
)
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.conditions import Condition, timestamp
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.common.text import counted
from qdrant_operator.domain.manifests.stateful_set import template_hash
from qdrant_operator.domain.placement.planner import imbalance
from qdrant_operator.domain.placement.steps import DropReplica, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerView, View

SHOWN = 10
"""Steps and waits that status lists; `planned` has the total."""
STARTING = timedelta(minutes=2)
"""So young a pod may be silent: its container starts, and its peer joins and catches up."""
LASTING = timedelta(minutes=1)
"""An error between peers that is older is over: Qdrant remembers it until the next message, its leaders send several a
second. Room for clocks that differ."""


class Reason(StrEnum):
    """Reasons of a QdrantCluster's conditions."""

    READY = "AllPeersReady"
    PAUSED = "Paused"
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


def bootstrap_facts(bootstrap: Bootstrap) -> dict[str, Any]:
    """The recorded decision as it stands in status."""
    facts: dict[str, Any] = {"phase": bootstrap.phase.value, "pod": bootstrap.pod}
    return {**facts, **({"peerId": int(bootstrap.peer)} if bootstrap.peer is not None else {})}


def member_facts(member: Member) -> dict[str, Any]:
    """One entry of status.members."""
    facts = {"pod": member.pod, "peerId": int(member.peer), "claimUid": member.claim_uid}
    lost = {"lostSince": timestamp(member.lost_since)} if member.lost_since else {}
    return {**facts, **lost}


def leaving_facts(leaving: Leaving) -> dict[str, Any]:
    """status.leaving."""
    peer = {} if leaving.peer is None else {"peerId": int(leaving.peer)}
    return {"pod": leaving.pod, **peer, "claimUid": leaving.claim_uid, "phase": leaving.phase.value}


def facts(desired: DesiredCluster, observed: Observed, plan: ClusterPlan) -> dict[str, Any]:
    """Everything in status but the conditions."""
    bootstrap, shards = observed.bootstrap, _shards(desired, observed)
    return {
        "phase": phase(desired, observed, plan),
        "version": _common_version(observed),
        "highestVersion": observed.highest_version,
        "leader": observed.pod_of(observed.leader),
        "endpoint": _endpoint(desired),
        "peers": [_peer(pod, observed.views.get(pod.name)) for pod in observed.pods],
        "peersReady": f"{len(_ready_members(observed))}/{desired.spec.replicas}",
        "shards": shards,
        "shardsSound": "{sound}/{wanted}".format(**shards),
        "plan": [str(step) for step in plan.steps[:SHOWN]],
        "planned": len(plan.steps),
        "blocked": _blocked(plan),
        "bootstrap": bootstrap_facts(bootstrap) if bootstrap else None,
        "members": [member_facts(member) for member in observed.members_known] or None,
        "leaving": leaving_facts(observed.leaving) if observed.leaving else None,
        "advice": advice(desired, observed),
    }


def _endpoint(desired: DesiredCluster) -> dict[str, str]:
    host = names.service_host(desired.name, desired.namespace)
    return {
        "rest": names.rest_url(host),
        "grpc": f"{host}:{names.GRPC_PORT}",
        "secretName": names.auth_secret(desired.name),
    }


def _blocked(plan: ClusterPlan) -> list[dict[str, str]]:
    shown = plan.blocked[:SHOWN]
    return [{"step": wait.step, "guard": wait.guard.value, "message": wait.message} for wait in shown]


def _peer(pod: PodState, view: View | None) -> dict[str, Any]:
    if not isinstance(view, PeerView):
        return {"pod": pod.name, "state": "Down" if pod.waiting else "Unreachable"}
    local = [s.local for c in view.collections for s in c.shards if s.local]
    return {
        "pod": pod.name,
        "id": int(view.peer),
        "state": "Active" if pod.ready else "NotReady",
        "version": f"v{view.version}",
        **({"zone": pod.zone} if pod.zone else {}),
        "shards": len(local),
        "points": sum(replica.points or 0 for replica in local),
        "bytes": sum(replica.bytes for replica in local),
    }


def _shards(desired: DesiredCluster, observed: Observed) -> dict[str, int]:
    transfers = {
        (c.name, t.shard, t.source, t.target)
        for view in observed.peers.values()
        for c in view.collections
        for t in c.transfers
    }
    return {
        "wanted": sum(shard.wanted for shard in observed.shards),
        "sound": sum(min(len(shard.sound), shard.wanted) for shard in observed.shards),
        "dead": sum(len(shard.dead) for shard in observed.shards),
        "transfers": len(transfers),
        "imbalance": imbalance(build_layout(observed, roles(desired, observed))),
    }


def _common_version(observed: Observed) -> str | None:
    versions = {view.version for view in observed.peers.values()}
    return f"v{min(versions)}" if len(versions) == 1 else None


def _ready_members(observed: Observed) -> list[str]:
    outside = detached_pods(observed)
    return [
        pod.name
        for pod in observed.pods
        if pod.ready and pod.name in observed.peers and pod.name not in outside
    ]


def _is_formed(observed: Observed) -> bool:
    return observed.bootstrap is not None and observed.bootstrap.phase is BootstrapPhase.COMPLETE


def _outdated(desired: DesiredCluster, observed: Observed) -> list[str]:
    wanted = template_hash(desired)
    return [pod.name for pod in observed.pods if pod.template_hash != wanted or pod.terminating]


def ready(desired: DesiredCluster, observed: Observed) -> Condition:
    """True only when the cluster is what its spec says and every part of it is sound."""
    for reason, message in _unready(desired, observed):
        if message:
            return Condition("Ready", status=False, reason=reason, message=message)
    peers = counted(desired.spec.replicas, "peer")
    follow = "follows" if desired.spec.replicas == 1 else "follow"
    message = f"{peers} {follow} one leader; every shard is at its replication factor"
    return Condition("Ready", status=True, reason=Reason.READY, message=message)


def _unready(desired: DesiredCluster, observed: Observed) -> Sequence[tuple[Reason, str]]:
    outdated = _outdated(desired, observed)
    return (
        (Reason.FORMING, "" if _is_formed(observed) else "the peers have not formed one cluster yet"),
        (Reason.SPLIT, _split(observed)),
        (Reason.CONSENSUS_STOPPED, stopped_consensus(observed)),
        (Reason.UPDATING, f"pods to restart: {', '.join(outdated)}" if outdated else ""),
        (Reason.SCALING, _scaling(desired, observed)),
        (Reason.PEERS_DOWN, _peers_down(observed)),
        (
            Reason.NO_LEADER,
            "" if observed.leader is not None else "a majority of the peers follows no leader",
        ),
        (Reason.REPLICAS_NOT_SOUND, _ill_shards(observed)),
        (Reason.UPDATING, _damage(observed)),
    )


def _split(observed: Observed) -> str:
    outside = detached_pods(observed)
    return f"{', '.join(outside)} runs a cluster of its own; taken out of the Service" if outside else ""


def _scaling(desired: DesiredCluster, observed: Observed) -> str:
    if observed.leaving:
        return f"the peer of {observed.leaving.pod} is being taken away"
    if len(observed.pods) == desired.spec.replicas:
        return ""
    return f"{counted(len(observed.pods), 'pod')} there, {desired.spec.replicas} wanted"


def _peers_down(observed: Observed) -> str:
    """Also peers that answer the operator and do not know each other."""
    good = set(_ready_members(observed))
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


def _damage(observed: Observed) -> str:
    """Not the disruption budget: it follows the health of the peers, and serves nobody."""
    damaged = [one.name for one in observed.drift if one.kind is not Kind.DISRUPTION_BUDGET]
    return f"objects to put back: {', '.join(damaged[:5])}" if damaged else ""


def conditions(desired: DesiredCluster, observed: Observed, plan: ClusterPlan) -> tuple[Condition, ...]:
    """Ready, Progressing, Degraded and Blocked."""
    state = ready(desired, observed)
    return (state, _progressing(state, observed, plan), _degraded(observed, plan), _held_back(plan))


def _progressing(state: Condition, observed: Observed, plan: ClusterPlan) -> Condition:
    """Steps are taken, or what was begun (forming, scaling, restarting, a transfer, a pod's start) is not over."""
    if plan.steps:
        return Condition("Progressing", status=True, reason=Reason.UPDATING, message=str(plan.steps[0]))
    begun = state.reason in (Reason.FORMING, Reason.UPDATING, Reason.SCALING)
    if begun or (state.reason == Reason.REPLICAS_NOT_SOUND and _moving(observed)):
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
    """Something that ran before does not: of a cluster that is forming only where it cannot form by itself."""
    if not _is_formed(observed):
        stuck = next(
            (wait.message for wait in plan.blocked if wait.guard is ClusterGuard.NO_PEER_ON_VOLUMES), ""
        )
        said = (
            (Reason.PEERS_DOWN, stuck)
            if stuck
            else (Reason.FORMING, "the peers have not formed one cluster yet")
        )
        return Condition("Degraded", status=bool(stuck), reason=said[0], message=said[1])
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
    """Members that the operator reaches and another member does not: then the network between pods is at fault."""
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


def _held_back(plan: ClusterPlan) -> Condition:
    if not plan.blocked:
        return Condition("Blocked", status=False, reason=Reason.FREE, message="no step waits for a guard")
    first = plan.blocked[0]
    message = f"{first.step}: {first.message}"[:1024]
    return Condition("Blocked", status=True, reason=first.guard, message=message)


def phase(desired: DesiredCluster, observed: Observed, plan: ClusterPlan) -> str:
    """One word for the STATUS column; nothing reads it back."""
    if desired.spec.paused:
        return "Paused"
    if not _is_formed(observed):
        return "Bootstrapping" if observed.bootstrap else "Pending"
    state = ready(desired, observed)
    if state.status:
        return "Blocked" if plan.blocked else "Ready"
    words = {Reason.UPDATING: "Updating", Reason.SCALING: "Scaling"}
    mends = any(isinstance(step, ReplicateShard | DropReplica) for step in plan.steps)
    if state.reason == Reason.REPLICAS_NOT_SOUND and (mends or _moving(observed)):
        return "Repairing"
    return words.get(Reason(state.reason), "Degraded")


def _moving(observed: Observed) -> bool:
    return any(c.transfers for view in observed.peers.values() for c in view.collections)


def refused(error: Refused) -> tuple[Condition, ...]:
    """Conditions of a spec that cannot be followed: what runs is left as it is."""
    return (
        Condition("Ready", status=False, reason=error.reason, message=error.message),
        Condition("Progressing", status=False, reason=error.reason, message=error.message),
        Condition("Blocked", status=True, reason=error.reason, message=error.message),
    )
