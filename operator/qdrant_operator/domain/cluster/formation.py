"""How a cluster forms exactly once.

The safety argument. Only the pod that QDRANT_FIRST_POD in its template and `first-pod` in the ConfigMap both name
may start alone. (1) The decision is in status before the StatefulSet exists, and it is made only when neither a
StatefulSet nor a claim that may hold data exists, read live, and nothing of an earlier QdrantCluster is being
deleted. (2) The first StatefulSet has one replica. (3) When that peer has answered, one apply removes the permission
and raises the replicas, so a StatefulSet controller that creates any other pod has read a template without the
permission. A pod 0 that loses its volume before (3) was the whole cluster; after (3) no pod can start alone.
(4) The pod that formed the cluster keeps its template's permission until it is recreated, and the ConfigMap reaches
it late. So the start script also refuses where an earlier container of the pod came up, or another peer exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed, PodState, Volume
from qdrant_operator.domain.cluster.pods import stuck
from qdrant_operator.domain.cluster.steps import NOTHING, ClusterPlan, MarkCluster, RecordBootstrap
from qdrant_operator.domain.cluster.volumes.evidence import may_hold_data, unbound_claim
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.versions import refused_by_volume
from qdrant_operator.domain.common.child_progress import Hindrance
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.names import pod_name
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.qdrant.views import PeerView

FIRST = (ClusterGuard.POD_NOT_RUNNING, ClusterGuard.PEERS_UNREACHABLE, ClusterGuard.PEER_NOT_JOINED)
"""A pod that does not run comes first: the others wait for it, and their messages say less."""


def plan_decision(cluster: str, observed: Observed) -> ClusterPlan:
    """Decide which pod may start alone, unless that is decided."""
    if observed.bootstrap is not None:
        return NOTHING
    if observed.remains:
        return Plan(blocked=(_terminating(observed.remains),))
    fresh = observed.stateful_set_replicas is None and not any(map(may_hold_data, observed.volumes.values()))
    phase = BootstrapPhase.STARTED if fresh else BootstrapPhase.ADOPTED
    return Plan((RecordBootstrap(Bootstrap(phase, pod_name(cluster, 0))),))


def _terminating(remains: tuple[str, ...]) -> Blocked:
    """Whether data exists is only known when no object is being deleted."""
    message = (
        f"Kubernetes is still deleting {named(remains)} of an earlier QdrantCluster of this name: waiting; if an "
        "object stays, its metadata.finalizers show why"
    )
    return Blocked("decide how the cluster starts", ClusterGuard.OBJECTS_TERMINATING, message)


def pods_for_phase(
    bootstrap: Bootstrap | None,
    replicas: int,
    present: int | None,
    volumes: Mapping[str, Volume] | None = None,
) -> int:
    """Replicas of the StatefulSet in this phase; never fewer than it has.

    All volumes that existed before the QdrantCluster are started: a minority of their peers cannot elect a leader.
    Once the StatefulSet exists it counts them, and surplus peers are removed as in any cluster.
    """
    if bootstrap is None or bootstrap.phase is BootstrapPhase.STARTED:
        return 1
    if bootstrap.phase is not BootstrapPhase.ADOPTED or present is not None:
        return max(replicas, present or 0)
    found = (claim for claim, volume in (volumes or {}).items() if may_hold_data(volume))
    return max([replicas, *(int(claim.rsplit("-", 1)[1]) + 1 for claim in found)])


def first_pod(bootstrap: Bootstrap | None) -> str:
    """Pod that may start alone now, or an empty string."""
    started = bootstrap is not None and bootstrap.phase is BootstrapPhase.STARTED
    return bootstrap.pod if bootstrap and started else ""


def plan_formation(desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    """Complete the formation that the recorded decision began."""
    bootstrap = observed.bootstrap
    if bootstrap is None or bootstrap.phase is BootstrapPhase.COMPLETE:
        return NOTHING
    if bootstrap.phase is BootstrapPhase.STARTED:
        return _plan_first(bootstrap, desired, observed)
    return _plan_joined(bootstrap, desired, observed)


def _plan_first(bootstrap: Bootstrap, desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    view = observed.peers.get(bootstrap.pod)
    if view is None or view.leader != view.peer or not view.voter:
        return _waiting("form the cluster", desired, observed, bootstrap.pod)
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.FORMED, bootstrap.pod, view.peer)),))


def _plan_joined(bootstrap: Bootstrap, desired: DesiredCluster, observed: Observed) -> ClusterPlan:
    wanted = [pod_name(desired.name, ordinal) for ordinal in range(desired.pod_count)]
    missing = [pod for pod in wanted if not _joined(observed.peers.get(pod), observed, desired.pod_count)]
    if missing:
        return _waiting("complete the cluster", desired, observed, *missing)
    if desired.pod_count < desired.spec.replicas:  # a removal that began earlier completes first
        return NOTHING
    if observed.mark != desired.uid:
        return Plan((MarkCluster(min(observed.peers)),))
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.COMPLETE, bootstrap.pod, bootstrap.peer)),))


def _joined(view: PeerView | None, observed: Observed, wanted: int) -> bool:
    """The peer votes, follows the common leader, and knows all peers, at least as many as wanted."""
    if view is None or not view.voter or view.leader is None:
        return False
    ids = {other.peer for other in observed.peers.values()}
    same_leader = {other.leader for other in observed.peers.values()} == {view.leader}
    return same_leader and ids <= set(view.peers) and len(ids) >= wanted


def _waiting(step: str, desired: DesiredCluster, observed: Observed, *pods: str) -> ClusterPlan:
    found = {pod.name: pod for pod in observed.pods}
    blocked = [_blocked(step, name, found.get(name), desired, observed) for name in pods]
    return Plan(blocked=tuple(sorted(blocked, key=_rank)))


def _rank(wait: Blocked) -> int:
    return FIRST.index(wait.guard) if wait.guard in FIRST else -1


def _blocked(
    step: str, name: str, pod: PodState | None, desired: DesiredCluster, observed: Observed
) -> Blocked:
    hint = unbound_claim(desired, pod, observed) if pod is not None else ""
    stuck_pod = next((stuck_pod for stuck_pod in observed.stuck_pods if stuck_pod.pod == name), None)
    if stuck_pod is not None:
        return Blocked(step, ClusterGuard.POD_NOT_RUNNING, f"{stuck_pod.why[: 1024 - len(hint)]}{hint}")
    if pod is None:
        return Blocked(step, ClusterGuard.POD_NOT_RUNNING, f"pod {name} does not exist yet")
    if pod.waiting:
        guard = refused_by_volume(pod) or ClusterGuard.POD_NOT_RUNNING
        return Blocked(step, guard, f"{why_down(pod)[: 1024 - len(hint)]}{hint}")
    reason = observed.silent.get(name)
    if reason:
        return Blocked(step, ClusterGuard.PEERS_UNREACHABLE, f"{name} does not answer: {reason}")
    return Blocked(step, ClusterGuard.PEER_NOT_JOINED, f"{name} answers and has not joined the others yet")


def why_down(pod: PodState) -> str:
    """Why a pod's container does not run and since when, from the kubelet and the server's last output."""
    since = f"since {pod.down_since} " if pod.down_since else ""
    last = f": {pod.message}" if pod.message else ""
    cause = Hindrance("the kubelet", pod.waiting, pod.message)
    remedy = f"; {stuck.remedy(cause)}" if cause.has_remedy else ""
    return f"{pod.name} does not run: {since}{pod.waiting}{last}"[: 1024 - len(remedy)] + remedy
