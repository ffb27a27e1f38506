"""Marks on volume claims, which outlive the QdrantCluster's status. Pure.

The highest release that ran on the volume; whether only the first start of pod 0 used it; and, with
`persistence.whenDeleted: Delete`, an owner reference, so that Kubernetes deletes the volume with the QdrantCluster
and with nothing else. References are removed before any other step, see `reconcile.cluster.volumes`.
"""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.cluster.observed import (
    BootstrapPhase,
    MarkVolume,
    Observed,
    PodState,
    Volume,
    VolumeMarks,
)
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.versions import highest
from qdrant_operator.domain.common import names


def find_unmarked(desired: DesiredCluster, observed: Observed) -> tuple[MarkVolume, ...]:
    """Claims whose marks are outdated."""
    return tuple(_unmarked(desired, observed))


def _unmarked(desired: DesiredCluster, observed: Observed) -> Iterator[MarkVolume]:
    pods = {names.claim_of(pod.name): pod for pod in observed.pods}
    for claim, volume in sorted(observed.volumes.items()):
        pod = pods.get(claim)
        if volume.terminating or pod is None or _is_of_another_pod(pod, volume):
            continue
        wanted = VolumeMarks(
            release=_release(desired, observed, pod, volume),
            unformed=_is_unformed(observed, pod),
            owner=_owner(desired, observed, pod, volume),
        )
        if wanted != volume.marks:
            yield MarkVolume(claim, volume.uid, wanted)


def _is_of_another_pod(pod: PodState, volume: Volume) -> bool:
    """A claim that is younger than the pod belongs to the next pod."""
    return volume.created > pod.created


def _release(desired: DesiredCluster, observed: Observed, pod: PodState, volume: Volume) -> str:
    """Only a downgrade that the user allowed lowers it, after it has happened."""
    view = observed.peers.get(pod.name)
    if view is None:
        return volume.marks.release
    before = "" if desired.allows_downgrade else volume.marks.release
    return highest((before, view.version)) or volume.marks.release


def _is_unformed(observed: Observed, pod: PodState) -> bool:
    """While only pod 0 may start: its volume is the whole cluster or empty, and may start alone again."""
    bootstrap = observed.bootstrap
    return bootstrap is not None and bootstrap.phase is BootstrapPhase.STARTED and pod.name == bootstrap.pod


def _owner(desired: DesiredCluster, observed: Observed, pod: PodState, volume: Volume) -> str:
    """The QdrantCluster's uid, for volumes that it created or that hold one of its peers; not for a user's volumes."""
    if desired.spec.persistence.when_deleted == "Retain":
        return ""
    recorded = {record.claim_uid for record in observed.records}
    owned = volume.labelled or volume.uid in recorded
    return desired.uid if owned and not pod.terminating else volume.marks.owner
