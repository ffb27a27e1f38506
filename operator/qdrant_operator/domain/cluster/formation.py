"""How a cluster forms exactly once.

The safety argument. Only the pod that QDRANT_FIRST_POD in its template and `first-pod` in the ConfigMap both name
may start alone. (1) The decision is in status before the StatefulSet exists, and it is made only when neither a
StatefulSet nor a claim that may hold data exists, read live, and nothing of an earlier QdrantCluster is being
deleted. (2) The first StatefulSet has one replica. (3) When that peer has answered, one apply takes the permission
away and raises the replicas, so a StatefulSet controller that makes any other pod has read a template without the
permission. A pod 0 that loses its volume before (3) was the whole cluster; after (3) no pod can start alone.
(4) The pod that formed the cluster keeps its template's permission until it is recreated, and the ConfigMap reaches
it late: so the start script also refuses where an earlier container of the pod came up, or another peer is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed, PodState, Volume
from qdrant_operator.domain.cluster.pods import trouble as pod_trouble
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
"""A pod that does not run comes first: the others wait for it, and say less."""


def plan_decision(cluster: str, observed: Observed) -> ClusterPlan:
    """Decide which pod may start alone, if that is not decided yet."""
    if observed.bootstrap is not None:
        return NOTHING
    if observed.remains:
        return Plan(blocked=(_terminating(observed.remains),))
    fresh = observed.members is None and not any(map(may_hold_data, observed.volumes.values()))
    phase = BootstrapPhase.STARTED if fresh else BootstrapPhase.ADOPTED
    return Plan((RecordBootstrap(Bootstrap(phase, pod_name(cluster, 0))),))


def _terminating(remains: tuple[str, ...]) -> Blocked:
    """Whether data exists is known when no object is being deleted any more."""
    message = (
        f"Kubernetes is still deleting {named(remains)} of an earlier QdrantCluster of this name: waiting; if an "
        "object stays, its metadata.finalizers show why"
    )
    return Blocked("decide how the cluster starts", ClusterGuard.OBJECTS_TERMINATING, message)


def members_wanted(
    bootstrap: Bootstrap | None,
    replicas: int,
    present: int | None,
    volumes: Mapping[str, Volume] | None = None,
) -> int:
    """Replicas that the StatefulSet shall have now; a running peer is never taken away here.

    Volumes that were there before us are all started: fewer of their peers than a majority would never agree. Once
    the StatefulSet is there it counts them, and peers that are not wanted leave it as those of any cluster do.
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
    """Lead a recorded decision to a formed cluster."""
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
    wanted = [pod_name(desired.name, ordinal) for ordinal in range(desired.members)]
    missing = [pod for pod in wanted if not _joined(observed.peers.get(pod), observed, desired.members)]
    if missing:
        return _waiting("complete the cluster", desired, observed, *missing)
    if desired.members < desired.spec.replicas:  # a removal that began earlier ends first
        return NOTHING
    if observed.mark != desired.uid:
        return Plan((MarkCluster(min(observed.peers)),))
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.COMPLETE, bootstrap.pod, bootstrap.peer)),))


def _joined(view: PeerView | None, observed: Observed, wanted: int) -> bool:
    """The peer votes, follows the common leader and knows as many members as wanted, all of them alike."""
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
    held_up = next((one for one in observed.held_up if one.pod == name), None)
    if held_up is not None:
        return Blocked(step, ClusterGuard.POD_NOT_RUNNING, f"{held_up.why[: 1024 - len(hint)]}{hint}")
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
    """Why a pod's container does not run and since when, in the kubelet's words and the server's last ones."""
    since = f"since {pod.down_since} " if pod.down_since else ""
    last = f": {pod.message}" if pod.message else ""
    told = Hindrance("the kubelet", pod.waiting, pod.message)
    remedy = f"; {pod_trouble.remedy(told)}" if told.has_remedy else ""
    return f"{pod.name} does not run: {since}{pod.waiting}{last}"[: 1024 - len(remedy)] + remedy
