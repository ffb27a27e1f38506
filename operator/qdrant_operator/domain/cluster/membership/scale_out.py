"""How many pods the StatefulSet has now, and what blocks more."""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.formation import pods_for_phase
from qdrant_operator.domain.cluster.membership.identity import detached, ordinal_of, pods_by_peer
from qdrant_operator.domain.cluster.observed import BootstrapPhase, Observed, PeerRecord, Volume
from qdrant_operator.domain.cluster.volumes.evidence import may_hold_data
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked


def pods_wanted(cluster: str, replicas: int, observed: Observed) -> tuple[int, tuple[Blocked, ...]]:
    """Replicas that the StatefulSet must have now, and what blocks more.

    The volumes of all recorded peers are started. No pod is added while a peer is being removed or may run its own
    cluster, nor where a claim has the volume of a peer that is not in the cluster.
    """
    bootstrap, present = observed.bootstrap, observed.stateful_set_replicas
    records, volumes = observed.records, observed.volumes
    if present is not None and observed.leaving is not None:
        return present, ()
    started = bootstrap is None or bootstrap.phase is BootstrapPhase.STARTED
    if present is None or not records or started:
        return pods_for_phase(bootstrap, replicas, present, volumes), ()
    out_of_service = {pod.name for pod in observed.pods if not pod.serving and pod.name in observed.silent}
    alone = sorted(detached(observed.views, records) | out_of_service)
    if alone:
        return present, _split(present, replicas, alone)
    recorded = {names.claim_name(cluster, ordinal_of(record.pod)): record.claim_uid for record in records}
    alive = [ordinal_of(record.pod) + 1 for record in records if _is_there(volumes, cluster, record)]
    wanted = max([replicas, present, *alive, _unrecorded(cluster, observed) + 1])
    # The pod of a peer may be deleted before the peer is recorded: it joined on the volume of this claim.
    inhabited = set(pods_by_peer(cluster, observed).values())
    for ordinal in range(present, wanted):
        claim = names.claim_name(cluster, ordinal)
        volume = volumes.get(claim)
        inhabits = names.pod_name(cluster, ordinal) in inhabited
        if volume and may_hold_data(volume) and not inhabits and recorded.get(claim) != volume.uid:
            known = volume.terminating or _majority_answers(observed)
            return ordinal, ((_old_volume if known else _any_volume)(cluster, ordinal, claim, volume),)
    return wanted, ()


def _unrecorded(cluster: str, observed: Observed) -> int:
    """Highest ordinal of a peer that has a volume and no pod, by all other peers; -1 where there is none.

    It joined just before its pod was deleted. Without it the others may be no majority, and no step could follow.
    """
    inside = [observed.peers[pod] for pod in observed.peers if pod not in detached(observed.views)]
    listed = set.intersection(*(set(view.peers) for view in inside)) if inside else set()
    gone = listed - {view.peer for view in inside}
    pods = {peer: pod for peer, pod in pods_by_peer(cluster, observed).items() if peer in gone}
    existing = {pod.name for pod in observed.pods}
    if existing & set(pods.values()):
        return -1
    ordinals = map(ordinal_of, pods.values())
    return max((ordinal for ordinal in ordinals if _may_be_its(observed, cluster, ordinal)), default=-1)


def _may_be_its(observed: Observed, cluster: str, ordinal: int) -> bool:
    volume = observed.volumes.get(names.claim_name(cluster, ordinal))
    return volume is not None and may_hold_data(volume) and not volume.terminating


def _majority_answers(observed: Observed) -> bool:
    """Whether a majority of all listed peers answers: otherwise a volume may belong to a peer that no view lists."""
    inside = [view for pod, view in observed.peers.items() if pod not in detached(observed.views)]
    listed = {peer for view in inside for peer in view.peers}
    return len([view for view in inside if view.peer in listed]) * 2 > len(listed)


def _is_there(volumes: Mapping[str, Volume], cluster: str, record: PeerRecord) -> bool:
    volume = volumes.get(names.claim_name(cluster, ordinal_of(record.pod)))
    return volume is not None and volume.uid == record.claim_uid


def _split(present: int, replicas: int, alone: list[str]) -> tuple[Blocked, ...]:
    """A new peer joins through any pod; a peer that is alone would add it to its own cluster."""
    if replicas <= present:
        return ()
    message = (
        f"{', '.join(alone)} is out of service and not known to be in the cluster; if it is alone in a cluster of "
        "its own, a new peer could join it there: wait until it answers, or bring its old volume back; delete the pod "
        "and its claim only when you have seen that nothing in its GET /collections is needed"
    )
    return (Blocked(f"scale out to {replicas} peers", ClusterGuard.PEER_NOT_JOINED, message),)


def _any_volume(cluster: str, ordinal: int, claim: str, _volume: Volume) -> Blocked:
    step = f"scale out to {names.pod_name(cluster, ordinal)}"
    message = f"claim {claim} may hold a peer of the cluster: waiting until a majority of the peers answers"
    return Blocked(step, ClusterGuard.PEERS_UNREACHABLE, message)


def _old_volume(cluster: str, ordinal: int, claim: str, volume: Volume) -> Blocked:
    step = f"scale out to {names.pod_name(cluster, ordinal)}"
    if volume.terminating:
        return Blocked(step, ClusterGuard.REMOVED_VOLUME_PRESENT, f"claim {claim} is being deleted")
    message = (
        f"claim {claim} holds a volume of no peer of this cluster: of a peer that was removed and can never join "
        "again, or of unknown origin, on which a pod could run a cluster of its own: save what you need of it, "
        f"then delete the claim (kubectl delete pvc {claim})"
    )
    return Blocked(step, ClusterGuard.REMOVED_VOLUME_PRESENT, message)
