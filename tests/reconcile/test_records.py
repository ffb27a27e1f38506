"""Status is read through the models, whichever release wrote it."""

from __future__ import annotations

from datetime import UTC, datetime

from qdrant_operator.api import SnapshotPhase, SnapshotStatus
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.context import Context, Options
from qdrant_operator.reconcile.records import read_status
from qdrant_operator.reconcile.reporting.status import amend_status, every_field, write_status
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.collection_world import FaultyRest, ManualClock, Recorder

NEWER = {"phase": "Archived", "job": "one-1", "sealedBy": "x", "retention": {"uid": "u", "keepFiles": True}}
MOMENT = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)


def test_what_this_release_does_not_understand_is_absent_from_the_value() -> None:
    """The rest is read."""
    status = read_status(SnapshotStatus, {"status": NEWER})
    assert (status.phase, status.retention, status.job) == (None, None, "one-1")


def test_an_object_without_status_has_an_empty_one() -> None:
    """As before its first pass."""
    assert read_status(SnapshotStatus, {}).facts() == {}


def test_facts_are_what_was_set_and_times_are_written_to_the_second() -> None:
    """As Kubernetes writes them; an absent field and a default are not written."""
    status = SnapshotStatus(phase=SnapshotPhase.RUNNING, started_at=MOMENT, progress=None)
    assert status.facts() == {"phase": "Running", "startedAt": "2026-11-21T12:00:00Z"}


async def test_kept_fields_stay_exactly_as_they_are() -> None:
    """Also where this release would not write them so; the others go, but for those that it does not know."""
    clock, peers = ManualClock(), FaultyRest()
    kubernetes = FakeKubernetes(now=clock.now)
    context = Context(kubernetes, peers, clock, Recorder(), Options("operator:test"))
    meta = {"name": "one", "namespace": "default"}
    kind = Kind.SNAPSHOT
    made = await kubernetes.create(
        {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": {}}
    )
    version = made["metadata"]["resourceVersion"]
    subject = await kubernetes.patch_status(kind, "default", "one", resource_version=version, status=NEWER)
    facts = SnapshotStatus(message="why")
    amended = await amend_status(context, kind, subject, facts, without=("job",))
    assert amended["status"] == {**{k: v for k, v in NEWER.items() if k != "job"}, "message": "why"}
    kept = every_field(kind, but=("message",))
    written = (await write_status(context, kind, amended, SnapshotStatus(), (), kept=kept))["status"]
    assert written == {
        "phase": "Archived",
        "sealedBy": "x",
        "retention": NEWER["retention"],
        "observedGeneration": 1,
        "conditions": [],
    }
    await peers.close()
