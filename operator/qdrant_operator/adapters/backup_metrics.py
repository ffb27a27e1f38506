"""Metrics of backups, computed from the caches at each scrape, so that they are never stale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.common.kinds import Kind, Manifest

Objects = Callable[[Kind], Iterable[Manifest]]
"""Returns all known objects of a kind."""
_Cluster = tuple[str, str]
"""Namespace and name."""


def nothing_known(_kind: Kind) -> Iterable[Manifest]:
    """No objects: the source before `watch_backups`."""
    return ()


class BackupMetrics(Collector):
    """The newest backup of each existing QdrantCluster, and whether each schedule is Ready."""

    def __init__(self) -> None:
        """Start without a source of objects."""
        self.objects: Objects = nothing_known

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One sample for each cluster with a backup, and for each schedule with a Ready condition."""
        completed = GaugeMetricFamily(
            "qdrant_operator_snapshot_completed_timestamp_seconds",
            "Completion time of the newest complete snapshot of the cluster (Unix time).",
            labels=["namespace", "cluster"],
        )
        size = GaugeMetricFamily(
            "qdrant_operator_snapshot_size_bytes",
            "Size of the newest complete snapshot of the cluster.",
            labels=["namespace", "cluster"],
        )
        for cluster, newest in sorted(self._newest().items()):
            completed.add_metric(cluster, _completed(newest))
            size.add_metric(cluster, float(newest["status"].get("bytes") or 0))
        return [completed, size, self._schedules()]

    def _newest(self) -> dict[_Cluster, Manifest]:
        clusters = {_address(cluster): cluster for cluster in self.objects(Kind.CLUSTER)}
        newest: dict[_Cluster, Manifest] = {}
        for snapshot in self.objects(Kind.SNAPSHOT):
            of = (snapshot["metadata"]["namespace"], str(snapshot["spec"]["clusterRef"]["name"]))
            if of not in clusters or not _counts(snapshot, clusters[of]):
                continue
            if of not in newest or _completed(snapshot) > _completed(newest[of]):
                newest[of] = snapshot
        return newest

    def _schedules(self) -> GaugeMetricFamily:
        ready = GaugeMetricFamily(
            "qdrant_operator_schedule_ready",
            "1 while the schedule is Ready; 0 when a due time was missed, snapshots fail or the cluster is missing.",
            labels=["namespace", "name"],
        )
        for schedule in sorted(self.objects(Kind.SCHEDULE), key=_address):
            for status in _ready(schedule):
                ready.add_metric(_address(schedule), float(status == "True"))
        return ready


def _counts(snapshot: Manifest, cluster: Manifest) -> bool:
    """A complete backup of this cluster, not of an earlier one with the same name."""
    status = snapshot.get("status") or {}
    complete = bool(status.get("completedAt")) and Phase.read(status.get("phase")).good
    if not complete or "deletionTimestamp" in snapshot["metadata"]:
        return False
    if uid := status.get("clusterUid"):
        return bool(uid == cluster["metadata"]["uid"])
    # The status was written by a release that did not record the uid of the cluster.
    created = snapshot["metadata"]["creationTimestamp"]
    return bool(created >= cluster["metadata"]["creationTimestamp"])


def _ready(schedule: Manifest) -> Iterator[str]:
    for condition in (schedule.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            yield str(condition.get("status"))


def _completed(snapshot: Manifest) -> float:
    return datetime.fromisoformat(snapshot["status"]["completedAt"]).timestamp()


def _address(manifest: Manifest) -> _Cluster:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]
