"""How a cluster forms exactly once.

The safety argument. Only the pod that QDRANT_FIRST_POD in its template and `first-pod` in the ConfigMap both name may
start alone. (1) The decision is in status
before the StatefulSet exists, and it is made only when neither a StatefulSet nor a volume claim exists, read
live. (2) The first StatefulSet has one replica. (3) When that peer has answered, one apply takes the permission
away and raises the replicas, so a StatefulSet controller that makes any other pod has read a template without
the permission. A pod 0 that loses its volume before (3) was the whole cluster; after (3) nobody can start alone.
(4) The pod that formed the cluster keeps its template's permission until it is recreated, and the ConfigMap reaches
it late: so the start script also refuses where an earlier container of the pod came up, or another peer is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_operator.domain import pod_trouble
from qdrant_operator.domain.child_progress import Hindrance
from qdrant_operator.domain.names import pod_name
from qdrant_operator.domain.observed import Bootstrap, BootstrapPhase, Observed, PodState
from qdrant_operator.domain.steps import NOTHING, Blocked, Guard, MarkCluster, Plan, RecordBootstrap
from qdrant_operator.domain.values import PeerView
from qdrant_operator.domain.versions import refused_by_volume

FIRST = (Guard.POD_NOT_RUNNING, Guard.PEERS_UNREACHABLE, Guard.PEER_NOT_JOINED)
"""A pod that does not run comes first: the others wait for it, and say less."""


def plan_decision(cluster: str, observed: Observed) -> Plan:
    """Decide who may start alone, if nobody decided before."""
    if observed.bootstrap is not None:
        return NOTHING
    fresh = observed.members is None and not observed.claims
    phase = BootstrapPhase.STARTED if fresh else BootstrapPhase.ADOPTED
    return Plan((RecordBootstrap(Bootstrap(phase, pod_name(cluster, 0))),))


def members_wanted(
    bootstrap: Bootstrap | None, replicas: int, present: int | None, claims: Sequence[str] = ()
) -> int:
    """Replicas that the StatefulSet shall have now; a running peer is never taken away here.

    Volumes that were there before us are all started: fewer of their peers than a majority would never agree.
    """
    if bootstrap is None or bootstrap.phase is BootstrapPhase.STARTED:
        return 1
    adopted = bootstrap.phase is BootstrapPhase.ADOPTED
    volumes = [int(claim.rsplit("-", 1)[1]) + 1 for claim in claims] if adopted else []
    return max(replicas, present or 0, *volumes)


def first_pod(bootstrap: Bootstrap | None) -> str:
    """Pod that may start alone now, or an empty string."""
    started = bootstrap is not None and bootstrap.phase is BootstrapPhase.STARTED
    return bootstrap.pod if bootstrap and started else ""


def plan_formation(uid: str, wanted: int, observed: Observed) -> Plan:
    """Lead a recorded decision to a formed cluster."""
    bootstrap = observed.bootstrap
    if bootstrap is None or bootstrap.phase is BootstrapPhase.COMPLETE:
        return NOTHING
    if bootstrap.phase is BootstrapPhase.STARTED:
        return _plan_first(bootstrap, observed)
    return _plan_joined(bootstrap, uid, wanted, observed)


def _plan_first(bootstrap: Bootstrap, observed: Observed) -> Plan:
    view = observed.peers.get(bootstrap.pod)
    if view is None or view.leader != view.peer or not view.voter:
        return _waiting("form the cluster", observed, bootstrap.pod)
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.FORMED, bootstrap.pod, view.peer)),))


def _plan_joined(bootstrap: Bootstrap, uid: str, wanted: int, observed: Observed) -> Plan:
    missing = [
        pod for pod in _expected(observed, wanted) if not _joined(observed.peers.get(pod), observed, wanted)
    ]
    if missing:
        return _waiting("complete the cluster", observed, *missing)
    if observed.mark != uid:
        return Plan((MarkCluster(min(observed.peers)),))
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.COMPLETE, bootstrap.pod, bootstrap.peer)),))


def _expected(observed: Observed, wanted: int) -> list[str]:
    """Names of the wanted pods, taken from any pod's name."""
    base = next((pod.name.rsplit("-", 1)[0] for pod in observed.pods), "")
    return [f"{base}-{ordinal}" for ordinal in range(wanted)]


def _joined(view: PeerView | None, observed: Observed, wanted: int) -> bool:
    """The peer votes, follows the common leader and knows as many members as wanted, all of them alike."""
    if view is None or not view.voter or view.leader is None:
        return False
    ids = {other.peer for other in observed.peers.values()}
    same_leader = {other.leader for other in observed.peers.values()} == {view.leader}
    return same_leader and ids <= set(view.peers) and len(ids) >= wanted


def _waiting(step: str, observed: Observed, *pods: str) -> Plan:
    found = {pod.name: pod for pod in observed.pods}
    blocked = [_blocked(step, name, found.get(name), observed) for name in pods]
    return Plan(blocked=tuple(sorted(blocked, key=lambda wait: FIRST.index(wait.guard))))


def _blocked(step: str, name: str, pod: PodState | None, observed: Observed) -> Blocked:
    held_up = next((one for one in observed.held_up if one.pod == name), None)
    if held_up is not None:
        return Blocked(step, Guard.POD_NOT_RUNNING, held_up.why[:1024])
    if pod is None:
        return Blocked(step, Guard.POD_NOT_RUNNING, f"pod {name} does not exist yet")
    if pod.waiting:
        return Blocked(step, refused_by_volume(pod) or Guard.POD_NOT_RUNNING, why_down(pod))
    reason = observed.silent.get(name)
    if reason:
        return Blocked(step, Guard.PEERS_UNREACHABLE, f"{name} does not answer: {reason}")
    return Blocked(step, Guard.PEER_NOT_JOINED, f"{name} answers and has not joined the others yet")


def why_down(pod: PodState) -> str:
    """Why a pod's container does not run, in the kubelet's words and the server's last ones."""
    last = f": {pod.message}" if pod.message else ""
    told = Hindrance("the kubelet", pod.waiting, pod.message)
    remedy = f"; {pod_trouble.remedy(told)}" if told.has_remedy else ""
    return f"{pod.name} does not run: {pod.waiting}{last}"[: 1024 - len(remedy)] + remedy
