"""Rolling restart: pods follow their template one at a time, without a failed request.

Before a pod stops: every peer answers, one leader and term, nothing pending, no transfer, every replica is
sound and stays sound, a quorum without the pod, and the client Service no longer lists it. The leader is restarted
last. A pod that is already down is restarted first and passes no gate, so that a bad configuration can be repaired.

No gate waits for what only this restart can repair. A fault of the pod itself (a peer that does not answer, a
consensus thread that stopped, replicas that are not sound) blocks its restart only where the restart could lose
something: where another holder of one of its shards is not sound either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qdrant_operator.domain.cluster.observed import Observed, PodState, behind
from qdrant_operator.domain.cluster.steps import (
    NOTHING,
    ClusterPlan,
    PutInService,
    RestartPod,
    TakeOutOfService,
)
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.common.text import named
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, PeerView

WHY = "its template changed"
RETURN_SECONDS = 10.0
"""For this long after a pod came back, requests that did not reach it may still fail. A peer tries three times, waits
1 s for an answer and then 2 s for a health check, and pauses for up to 0.5 s in total (Qdrant 1.19
`transport_channel_pool.rs`; no setting changes them). The latest in eight rolling restarts: 7 s after the new pod was
ready (docs/design/0007)."""

Gate = Callable[[PodState, Observed, int], str | None]


def plan_rollout(
    template_hash: str, wanted: int, observed: Observed, leaving: frozenset[str] = frozenset()
) -> ClusterPlan:
    """Restart pods whose template differs; put other pods back into service.

    A pod that does not answer stays out of service: it may run its own cluster. The peers of pods in `leaving` are
    being removed, so these pods are not restarted; the topmost one may be out of service for that reason.
    """
    outdated = tuple(
        pod
        for pod in observed.pods
        if pod.template_hash != template_hash and (pod.name not in leaving or is_down(pod))
    )
    chosen = _next(outdated, observed) if outdated else None
    removed = [pod for pod in observed.pods if pod.name in leaving]
    going = max(removed, key=lambda pod: pod.ordinal, default=None)
    away = (going,) if chosen and _goes_first(going, chosen) else (going, chosen)
    returning = [pod.name for pod in observed.pods if not (pod.serving or pod.terminating or pod in away)]
    known = tuple(PutInService(pod) for pod in returning if pod in observed.peers)
    unknown: ClusterPlan = Plan(
        blocked=tuple(_unknown(pod, observed) for pod in returning if pod not in observed.peers)
    )
    if known:
        return Plan(known[:1]) + unknown
    return unknown + (_restart(chosen, observed, wanted) if chosen else NOTHING)


def _goes_first(going: PodState | None, chosen: PodState) -> bool:
    """Both are out of service because of a late write, and each would wait for the other."""
    both_out = going is not None and going is not chosen and not (going.serving or chosen.serving)
    return both_out and not is_down(chosen)


def _unknown(pod: str, observed: Observed) -> Blocked:
    reason = observed.silent.get(pod, "nothing is known of it")
    message = f"{pod} does not answer: {reason}; it may run a cluster of its own"
    return Blocked(str(PutInService(pod)), ClusterGuard.PEERS_UNREACHABLE, message)


def _next(outdated: tuple[PodState, ...], observed: Observed) -> PodState:
    """Pods that are down first, then unready ones, then one out of service, then followers, then the leader."""
    leader = observed.pod_of(observed.leader)
    return min(
        outdated,
        key=lambda pod: (
            pod.terminating,
            not is_down(pod),
            pod.ready,
            pod.serving,
            pod.name == leader,
            -pod.ordinal,
        ),
    )


def is_down(pod: PodState) -> bool:
    """Its container does not run and cannot start by itself: a restart costs no availability."""
    return bool(pod.waiting) and not pod.ready


def _restart(pod: PodState, observed: Observed, wanted: int) -> ClusterPlan:
    restart = RestartPod(pod.name, pod.uid, WHY)
    if pod.terminating:
        return NOTHING
    if is_down(pod):
        return Plan((restart,))
    for guard, gate in GATES:
        message = gate(pod, observed, wanted)
        if message:
            return Plan(blocked=(Blocked(str(restart), guard, message),))
    if pod.serving:
        return Plan((TakeOutOfService(pod.name, WHY), restart))
    if pod.address in observed.listed:
        message = f"the client Service still lists {pod.name} ({pod.address})"
        return Plan(blocked=(Blocked(str(restart), ClusterGuard.STILL_IN_SERVICE, message),))
    return Plan((restart,))


def _one_at_a_time(pod: PodState, observed: Observed, wanted: int) -> str | None:
    others = [other for other in observed.pods if other.name != pod.name]
    down = [other.name for other in others if not other.ready or other.terminating or not other.serving]
    if down:
        return f"{', '.join(down)} must be ready and in service first"
    return None if len(others) + 1 >= wanted else f"only {len(others) + 1} of {wanted} pods exist"


def _none_just_back(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    """Requests that did not reach a pod may fail after its return, and then its sound replicas become Dead."""
    others = sorted(name for name in observed.just_back - {pod.name} if _holds_copies(name, observed))
    if not others:
        return None
    late = "until then requests that missed it can still fail and mark its replicas Dead"
    return f"{named(others)} must be ready for {RETURN_SECONDS:.0f} s first: {late}"


def _holds_copies(name: str, observed: Observed) -> bool:
    """Whether a peer has replicas that can become Dead: not the only one of their shard."""
    view = observed.peers.get(name)
    return view is not None and any(view.peer in s.holders and len(s.holders) > 1 for s in observed.shards)


def _all_answer(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    """A pod that is not ready need not answer: it may need the new template to start."""
    silent = {name: why for name, why in observed.silent.items() if name != pod.name or pod.ready}
    reasons = [f"{name} does not answer: {reason}" for name, reason in sorted(silent.items())]
    return "; ".join(reasons) or None


def _consensus_settled(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    views = _taking_part(pod, observed)
    if len({(view.leader, view.term) for view in views.values()}) != 1 or observed.leader is None:
        return "the peers do not agree on one leader and term: waiting"
    unsettled = [name for name, view in sorted(views.items()) if view.pending or not view.consensus_working]
    if unsettled:
        return f"consensus is busy or stopped on {', '.join(unsettled)}: waiting"
    late = behind(views)
    return f"{late}: waiting" if late else None


def _taking_part(pod: PodState, observed: Observed) -> Mapping[str, PeerView]:
    """Without the pod itself where its consensus thread has stopped: only a restart of the process starts it again."""
    return {name: view for name, view in observed.peers.items() if name != pod.name or view.consensus_working}


def _no_transfers(_pod: PodState, observed: Observed, _wanted: int) -> str | None:
    for view in observed.peers.values():
        for collection in view.collections:
            if collection.resharding:
                return f"collection {collection.name} is being resharded: waiting"
            for transfer in collection.transfers:
                shard = f"{collection.name}/{transfer.shard}"
                return f"transfer of {shard} from peer {transfer.source} to {transfer.target} is running: waiting"
    return None


def _all_sound(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    """Shards of factor 1 stop with their pod: that is the user's choice, and status reports it."""
    if _serves_nothing(pod, observed):
        return None
    own = _peer_of(pod, observed)
    ill = [shard.label for shard in observed.shards if not _may_lose(shard, own)]
    if not ill:
        return None
    return f"replicas are not sound yet, waiting for their repair: {named(ill)}"


def _may_lose(shard: ShardHealth, own: PeerId | None) -> bool:
    """Every holder is sound, or every one but the pod's own peer: a replica that is not sound on it is no loss."""
    others = shard.holders - {own}
    if shard.sound == shard.holders:
        return bool(shard.sound)
    return own in shard.holders and bool(others) and shard.sound == others


def _serves_nothing(pod: PodState, observed: Observed) -> bool:
    """Its peer loaded none of its replicas, as in recovery mode: no client reads and no peer recovers from it."""
    view = observed.peers.get(pod.name)
    if view is None:
        return False
    own = [s.local for c in view.collections for s in c.shards if view.peer in s.states]
    return bool(own) and all(local is not None and local.dummy for local in own)


def _peer_of(pod: PodState, observed: Observed) -> PeerId | None:
    """The pod's peer: by its view, or by the recorded peers while it is silent."""
    view = observed.peers.get(pod.name)
    if view is not None:
        return view.peer
    return next((record.peer for record in observed.records if record.pod == pod.name), None)


def _quorum_without(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    """One or two peers have no quorum without one of them: they are restarted anyway."""
    known = max((len(view.peers) for view in observed.peers.values()), default=0)
    voters = [name for name, view in observed.peers.items() if view.voter and name != pod.name]
    if known < 3 or len(voters) * 2 > known:
        return None
    return (
        f"restarting {pod.name} leaves {len(voters)} of {known} voters; {known // 2 + 1} are needed: waiting"
    )


def backup_text(observed: Observed) -> str:
    """Message of restarts and moves that wait for backups."""
    return f"QdrantSnapshot {named(observed.backups)} is copying shards: waiting, for at most 30 min from its start"


def _no_backup(pod: PodState, observed: Observed, _wanted: int) -> str | None:
    """A pod that has already left the client Service is restarted: until then it serves no client."""
    if not observed.backups or not pod.serving:
        return None
    return backup_text(observed)


GATES: tuple[tuple[ClusterGuard, Gate], ...] = (
    (ClusterGuard.ONE_AT_A_TIME, _one_at_a_time),
    (ClusterGuard.PEERS_UNREACHABLE, _all_answer),
    (ClusterGuard.CONSENSUS_UNSETTLED, _consensus_settled),
    (ClusterGuard.TRANSFER_RUNNING, _no_transfers),
    (ClusterGuard.REPLICA_NOT_SOUND, _all_sound),
    (ClusterGuard.ONE_AT_A_TIME, _none_just_back),
    (ClusterGuard.QUORUM_AT_RISK, _quorum_without),
    (ClusterGuard.BACKUP_RUNNING, _no_backup),
)
"""In the order in which a user would check."""
