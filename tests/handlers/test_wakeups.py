"""Changes wake the loops that may care, and no other."""

from __future__ import annotations

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import LABEL_CLUSTER, LABEL_SCHEDULE
from qdrant_operator.handlers.wakeups import affected

CLUSTER = (Kind.CLUSTER, "default", "vectors")


def thing(kind: Kind, name: str, **meta: object) -> Manifest:
    """An object with this metadata."""
    return {"kind": kind.kind, "metadata": {"name": name, "namespace": "default", **meta}}


def test_an_owned_object_wakes_its_owner() -> None:
    """A Service that vanished wakes the QdrantCluster that owns it."""
    service = thing(Kind.SERVICE, "vectors", ownerReferences=[{"kind": "QdrantCluster", "name": "vectors"}])
    assert list(affected(Kind.SERVICE, service, None)) == [CLUSTER]


def test_a_pod_wakes_its_cluster_by_label() -> None:
    """Pods belong to the StatefulSet; their label names the cluster."""
    pod = thing(Kind.POD, "vectors-0", labels={LABEL_CLUSTER: "vectors"})
    assert list(affected(Kind.POD, None, pod)) == [CLUSTER]


def test_a_claim_wakes_its_cluster_by_name() -> None:
    """Whoever made it; claims of other names concern no cluster."""
    claim = thing(Kind.CLAIM, "storage-vectors-10")
    assert list(affected(Kind.CLAIM, claim, None)) == [CLUSTER]
    for other in ("storage-10", "data-vectors-1", "storage-vectors-x"):
        assert list(affected(Kind.CLAIM, None, thing(Kind.CLAIM, other))) == []


def test_our_own_status_write_wakes_nobody() -> None:
    """Otherwise every pass would lead to another one."""
    old = {**thing(Kind.CLUSTER, "vectors", generation=1), "status": {"phase": "Pending"}}
    new = {**thing(Kind.CLUSTER, "vectors", generation=1), "status": {"phase": "Ready"}}
    assert list(affected(Kind.CLUSTER, old, new)) == []


def test_a_spec_edit_and_a_deletion_wake_the_object() -> None:
    """Generation and deletionTimestamp are what users change."""
    old = thing(Kind.CLUSTER, "vectors", generation=1)
    assert list(affected(Kind.CLUSTER, old, thing(Kind.CLUSTER, "vectors", generation=2))) == [CLUSTER]
    leaving = thing(Kind.CLUSTER, "vectors", generation=1, deletionTimestamp="2026-11-21T00:00:00Z")
    assert list(affected(Kind.CLUSTER, old, leaving)) == [CLUSTER]


def test_a_snapshot_wakes_the_schedule_that_made_it() -> None:
    """Also by its status: the schedule waits for it to complete."""
    old = thing(Kind.SNAPSHOT, "nightly-1", generation=1, labels={LABEL_SCHEDULE: "nightly"})
    new = {**old, "status": {"phase": "Complete"}}
    assert list(affected(Kind.SNAPSHOT, old, new)) == [(Kind.SCHEDULE, "default", "nightly")]
