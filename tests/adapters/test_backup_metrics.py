"""The metrics of backups: what the objects in the caches say at the moment of the scrape, and nothing else."""

from __future__ import annotations

from typing import Any

from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.adapters.metrics import Metrics
from qdrant_operator.domain.common.kinds import Kind, Manifest

CLUSTER_UID = "uid-vectors"
FIRST, SECOND = "2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z"


def put(store: Store, kind: Kind, name: str, version: int = 1, **fields: Any) -> Manifest:
    """An object in the cache."""
    meta = {
        "namespace": "here",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-20T00:00:00Z",
        **fields.pop("meta", {}),
    }
    manifest = {"metadata": meta, **fields}
    store.put(kind, manifest)
    return manifest


def backup(store: Store, name: str, completed: str, version: int = 1, **more: Any) -> Manifest:
    """A good snapshot of the cluster."""
    status = {"phase": "Verified", "completedAt": completed, "bytes": 1000, "clusterUid": CLUSTER_UID}
    return put(
        store,
        Kind.SNAPSHOT,
        name,
        version,
        spec={"clusterRef": {"name": "vectors"}},
        status={**status, **more.pop("status", {})},
        **more,
    )


def shown(store: Store, metric: str) -> list[str]:
    """Lines of a scrape, without the metric's name."""
    metrics = Metrics()
    metrics.watch_backups(store.every)
    name = f"qdrant_operator_{metric}"
    lines = metrics.page().decode().splitlines()
    return sorted(line.removeprefix(name) for line in lines if line.startswith(f"{name}{{"))


AGE = "snapshot_completed_timestamp_seconds"
SERIES = '{cluster="vectors",namespace="here"} '


def cluster(store: Store, uid: str = CLUSTER_UID, version: int = 1) -> Manifest:
    """The QdrantCluster."""
    return put(store, Kind.CLUSTER, "vectors", version, meta={"uid": uid})


def test_newest_backup_counts_whichever_was_looked_at_last() -> None:
    """An older one that is looked at again changes nothing."""
    store = Store()
    cluster(store)
    backup(store, "second", SECOND, status={"bytes": 2000})
    backup(store, "first", FIRST)
    backup(store, "first", FIRST, version=9, meta={"labels": {"touched": "later"}})
    assert shown(store, AGE) == [SERIES + "1.7953128e+09"]
    assert shown(store, "snapshot_size_bytes") == [SERIES + "2000.0"]


def test_no_series_without_a_cluster() -> None:
    """Kept snapshots of a cluster that is gone raise no alarm, also when they are looked at again."""
    store = Store()
    made = cluster(store)
    backup(store, "first", FIRST)
    assert len(shown(store, AGE)) == 1
    store.gone(Kind.CLUSTER, "here", "vectors", made["metadata"]["uid"])
    backup(store, "first", FIRST, version=9)
    assert shown(store, AGE) == []


def test_backups_of_an_earlier_cluster_are_not_those_of_the_new_one() -> None:
    """The new one has none yet: an age would say that all is well."""
    store = Store()
    cluster(store, "uid-of-the-second")
    backup(store, "first", FIRST)
    assert shown(store, AGE) == []


def test_only_backups_that_are_there_count() -> None:
    """Failed, running and deleted ones are none."""
    store = Store()
    cluster(store)
    backup(store, "failed", SECOND, status={"phase": "Failed"})
    backup(store, "running", SECOND, status={"phase": "Running", "completedAt": None})
    backup(store, "leaving", SECOND, meta={"deletionTimestamp": SECOND})
    put(store, Kind.SNAPSHOT, "new", spec={"clusterRef": {"name": "vectors"}})
    assert shown(store, AGE) == []


def test_status_without_a_recorded_cluster_counts_when_the_cluster_is_older() -> None:
    """As earlier releases wrote it."""
    store = Store()
    cluster(store)
    backup(store, "first", FIRST, status={"clusterUid": None})
    backup(
        store,
        "older",
        SECOND,
        status={"clusterUid": None},
        meta={"creationTimestamp": "2026-11-19T00:00:00Z"},
    )
    assert shown(store, AGE) == [SERIES + "1.7952264e+09"]


def test_schedule_that_is_not_ready_is_zero() -> None:
    """One sample for each schedule that was looked at."""
    store = Store()
    for name, word in (("fine", "True"), ("late", "False")):
        conditions = [{"type": "LastSnapshotSucceeded", "status": "True"}, {"type": "Ready", "status": word}]
        put(store, Kind.SCHEDULE, name, status={"conditions": conditions})
    put(store, Kind.SCHEDULE, "new")
    assert shown(store, "schedule_ready") == [
        '{name="fine",namespace="here"} 1.0',
        '{name="late",namespace="here"} 0.0',
    ]


def test_a_phase_of_a_newer_release_is_no_good_backup() -> None:
    """And the scrape goes on."""
    store = Store()
    cluster(store)
    backup(store, "first", FIRST)
    backup(store, "newer", SECOND, status={"phase": "Archived"})
    assert len(shown(store, AGE)) == 1
