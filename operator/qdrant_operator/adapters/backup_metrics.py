"""Metrics of backups, computed from the caches when they are scraped: nothing is remembered, so nothing is stale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qdrant_operator.domain.backup.retention import Phase
from qdrant_operator.domain.common.kinds import Kind, Manifest

Objects = Callable[[Kind], Iterable[Manifest]]
"""Gives all known objects of a kind."""
_Cluster = tuple[str, str]
"""Namespace and name."""


def nothing_known(_kind: Kind) -> Iterable[Manifest]:
    """The source before there is one."""
    return ()


class BackupMetrics(Collector):
    """The newest backup of each QdrantCluster that exists, and whether each schedule is Ready."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.objects: Objects = nothing_known

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One sample for each cluster that has a backup, and for each schedule that was looked at."""
        completed = GaugeMetricFamily(
            "qdrant_operator_snapshot_completed_timestamp_seconds",
            "When the newest complete snapshot of the cluster was completed (Unix time).",
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
        clusters = {_address(one): one for one in self.objects(Kind.CLUSTER)}
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
            "1 while the schedule is Ready, 0 while it is not: a due time was missed, or snapshots fail.",
            labels=["namespace", "name"],
        )
        for schedule in sorted(self.objects(Kind.SCHEDULE), key=_address):
            for word in _ready(schedule):
                ready.add_metric(_address(schedule), float(word == "True"))
        return ready


def _counts(snapshot: Manifest, cluster: Manifest) -> bool:
    """A backup that is there, of this very cluster and not of an earlier one of its name."""
    status = snapshot.get("status") or {}
    good = bool(status.get("completedAt")) and Phase.read(status.get("phase")).good
    if not good or "deletionTimestamp" in snapshot["metadata"]:
        return False
    if uid := status.get("clusterUid"):
        return bool(uid == cluster["metadata"]["uid"])
    # Its status was written by a release that did not record the cluster.
    made = snapshot["metadata"]["creationTimestamp"]
    return bool(made >= cluster["metadata"]["creationTimestamp"])


def _ready(schedule: Manifest) -> Iterator[str]:
    for condition in (schedule.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            yield str(condition.get("status"))


def _completed(snapshot: Manifest) -> float:
    return datetime.fromisoformat(snapshot["status"]["completedAt"]).timestamp()


def _address(manifest: Manifest) -> _Cluster:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]
