"""How many pods the StatefulSet shall have now, and what keeps it from having more."""

from __future__ import annotations

from collections.abc import Mapping

from qdrant_operator.domain.cluster.formation import members_wanted
from qdrant_operator.domain.cluster.membership.identity import detached, members, ordinal_of
from qdrant_operator.domain.cluster.observed import BootstrapPhase, Member, Observed, Volume
from qdrant_operator.domain.cluster.volumes.evidence import may_hold_data
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked


def pods_wanted(cluster: str, replicas: int, observed: Observed) -> tuple[int, tuple[Blocked, ...]]:
    """Replicas that the StatefulSet shall have now, and what holds it back.

    Volumes of members are all started; nothing grows while a peer is being removed or may be alone in a
    cluster of its own; and a pod is never made where a volume waits that is not a member's.
    """
    bootstrap, present = observed.bootstrap, observed.members
    records, volumes = observed.members_known, observed.volumes
    if present is not None and observed.leaving is not None:
        return present, ()
    started = bootstrap is None or bootstrap.phase is BootstrapPhase.STARTED
    if present is None or not records or started:
        return members_wanted(bootstrap, replicas, present, volumes), ()
    shunned = {pod.name for pod in observed.pods if not pod.serving and pod.name in observed.silent}
    alone = sorted(detached(observed.views, records) | shunned)
    if alone:
        return present, _split(present, replicas, alone)
    ours = {names.claim_name(cluster, ordinal_of(member.pod)): member.claim_uid for member in records}
    alive = [ordinal_of(m.pod) + 1 for m in records if _is_there(volumes, cluster, m)]
    wanted = max([replicas, present, *alive, _unrecorded(cluster, observed) + 1])
    # A member whose pod is gone before it was recorded: it joined on the volume that waits there, which is not old.
    inhabited = set(members(cluster, observed).values())
    for ordinal in range(present, wanted):
        claim = names.claim_name(cluster, ordinal)
        volume = volumes.get(claim)
        inhabits = names.pod_name(cluster, ordinal) in inhabited
        if volume and may_hold_data(volume) and not inhabits and ours.get(claim) != volume.uid:
            known = volume.terminating or _majority_answers(observed)
            return ordinal, ((_old_volume if known else _any_volume)(cluster, ordinal, claim, volume),)
    return wanted, ()


def _unrecorded(cluster: str, observed: Observed) -> int:
    """Highest ordinal of a member that has a volume and no pod, as every other member says; -1 where there is none.

    It joined just as its pod was taken away. Without it the others may be no majority, and then nothing ever ends.
    """
    inside = [observed.peers[pod] for pod in observed.peers if pod not in detached(observed.views)]
    listed = set.intersection(*(set(view.peers) for view in inside)) if inside else set()
    gone = listed - {view.peer for view in inside}
    pods = {peer: pod for peer, pod in members(cluster, observed).items() if peer in gone}
    there = {pod.name for pod in observed.pods}
    if there & set(pods.values()):
        return -1
    ordinals = map(ordinal_of, pods.values())
    return max((one for one in ordinals if _may_be_its(observed, cluster, one)), default=-1)


def _may_be_its(observed: Observed, cluster: str, ordinal: int) -> bool:
    volume = observed.volumes.get(names.claim_name(cluster, ordinal))
    return volume is not None and may_hold_data(volume) and not volume.terminating


def _majority_answers(observed: Observed) -> bool:
    """Whether most members that anybody lists answer: else a volume may be that of one which nobody could name."""
    inside = [view for pod, view in observed.peers.items() if pod not in detached(observed.views)]
    listed = {peer for view in inside for peer in view.peers}
    return len([view for view in inside if view.peer in listed]) * 2 > len(listed)


def _is_there(volumes: Mapping[str, Volume], cluster: str, member: Member) -> bool:
    volume = volumes.get(names.claim_name(cluster, ordinal_of(member.pod)))
    return volume is not None and volume.uid == member.claim_uid


def _split(present: int, replicas: int, alone: list[str]) -> tuple[Blocked, ...]:
    """A new peer asks any pod for admission; one that is alone would take it into its own cluster."""
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
