"""Whether a volume claim may hold the data of a peer, and the message where that is unknown."""

from __future__ import annotations

from datetime import datetime

from qdrant_operator.domain.cluster.observed import BootstrapPhase, Observed, PodState, Volume
from qdrant_operator.domain.cluster.steps import NOTHING, ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan

CRASHING = frozenset({"CrashLoopBackOff", "Error"})
"""The kubelet's reasons for a container that ended by itself, as opposed to an image that cannot be pulled."""


def may_hold_data(volume: Volume) -> bool:
    """Evidence of a peer, not the existence of an object.

    A claim that is marked as unformed was its cluster's only one, and pod 0 alone could start on it. If a peer
    did form there, pod 0 of the next QdrantCluster continues as that peer: a volume with a peer's state is never
    initialized again.
    """
    return not volume.unbound and not volume.marks.unformed


def plan_unknown(observed: Observed) -> ClusterPlan:
    """Volumes were adopted, and each container ends because it finds no peer: the user must decide about them."""
    bootstrap = observed.bootstrap
    adopted = bootstrap is not None and bootstrap.phase is BootstrapPhase.ADOPTED
    if not adopted or observed.peers or not observed.pods or not all(map(_crashes, observed.pods)):
        return NOTHING
    claims = ", ".join(
        f"{claim} (created {_moment(volume)})"
        for claim, volume in sorted(observed.volumes.items())
        if may_hold_data(volume)
    )
    message = (
        f"claims of this name were there before this QdrantCluster, so no pod may start a cluster alone, and no pod "
        f"finds a peer on its volume: {claims}. If the volume of a peer is missing, bring it back under its claim. If "
        "nothing on these volumes is needed, delete the QdrantCluster, then these claims, and apply it again"
    )
    return Plan(blocked=(Blocked("complete the cluster", ClusterGuard.NO_PEER_ON_VOLUMES, message),))


def _crashes(pod: PodState) -> bool:
    return pod.waiting in CRASHING


def _moment(volume: Volume) -> str:
    return (
        datetime.fromisoformat(volume.created).isoformat(timespec="seconds") if volume.created else "unknown"
    )


def unbound_claim(desired: DesiredCluster, pod: PodState, observed: Observed) -> str:
    """What to do about a claim that was never bound, for a pod that cannot be scheduled; empty: nothing."""
    claim, storage_class = (
        names.claim_name(desired.name, pod.ordinal),
        desired.spec.persistence.storage_class_name,
    )
    volume = observed.volumes.get(claim)
    if volume is None or not volume.unbound or pod.waiting != "Unschedulable":
        return ""
    if storage_class is not None and volume.storage_class not in (None, storage_class):
        return (
            f"; claim {claim} was made for StorageClass {volume.storage_class!r} and the spec asks for "
            f"{storage_class!r}; it was never bound and holds no data: delete it (kubectl delete pvc {claim}), and it "
            "is created again"
        )
    return (
        f"; claim {claim} was never bound: correct or create StorageClass {volume.storage_class or 'default'!r}, see "
        f"kubectl describe pvc {claim}"
    )
