"""What keeps pods from being created is read from Kubernetes, and only while a pod makes no progress."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.cluster.memory import pods as pod_memory
from qdrant_operator.reconcile.cluster.memory import stuck_pods
from qdrant_operator.reconcile.cluster.pods import pod_state
from sandbox.fakes.kubernetes import FakeKubernetes
from sandbox.fakes.statefulset import Kubelet, StatefulSets
from tests.reconcile.cluster_place import Place, one_cluster
from tests.reconcile.collection_world import CLUSTER, NAMESPACE, USER

LATE = pod_memory.PATIENCE.total_seconds() + 1
POD = f"{CLUSTER}-0"
NOTE = "create Pod vectors-0 in StatefulSet vectors failed error: pods is forbidden: exceeded quota: team"


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A cluster whose StatefulSet is made and has no pod."""
    async with one_cluster() as found:
        await found.passes()
        yield found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Uids whose Events were asked for."""
    uids: list[str] = []
    real = FakeKubernetes.events

    async def noted(self: FakeKubernetes, namespace: str, uid: str) -> object:
        uids.append(uid)
        return await real(self, namespace, uid)

    monkeypatch.setattr(FakeKubernetes, "events", noted)
    return uids


def say(place: Place, kind: Kind, name: str, reason: str, note: str) -> None:
    """Kubernetes writes an Event about an object."""
    about = place.there(kind, name)
    assert about is not None
    event = {
        "apiVersion": Kind.EVENT.api_version,
        "kind": "Event",
        "metadata": {"namespace": NAMESPACE, "name": f"{name}.{reason}"},
        "type": "Warning",
        "reason": reason,
        "note": note,
        "reportingController": "statefulset-controller",
        "regarding": {"kind": kind.kind, "name": name, "uid": about["metadata"]["uid"]},
    }
    place.kubernetes.server.create(event, USER)


def messages(place: Place) -> str:
    """All of status.blocked."""
    return "; ".join(wait["message"] for wait in place.subject["status"].get("blocked") or ())


async def test_a_quota_is_named_with_the_controllers_words(place: Place) -> None:
    """After ten seconds without a pod."""
    say(place, Kind.STATEFUL_SET, CLUSTER, "FailedCreate", NOTE)
    await place.passes(3)
    assert "quota" not in messages(place)
    place.clock.pass_by(LATE)
    await place.passes(3)
    assert "the statefulset-controller says FailedCreate: create Pod vectors-0" in messages(place)
    assert "raise the ResourceQuota" in messages(place)


async def test_status_does_not_change_while_nothing_changes(place: Place, asked: list[str]) -> None:
    """A minute without progress: Events are asked for every fifteen seconds, and the sentence stays as it is."""
    say(place, Kind.STATEFUL_SET, CLUSTER, "FailedCreate", NOTE)
    place.clock.pass_by(LATE)
    await place.passes(3)
    before, asked_before = messages(place), len(asked)
    for _ in range(60):
        place.clock.pass_by(1.0)
        await place.passes(1)
    assert messages(place) == before
    every = stuck_pods.ASKED_EVERY.total_seconds()
    assert 0 < len(asked) - asked_before <= 60 / every + 1


async def test_nothing_is_asked_of_a_pod_that_is_well(place: Place, asked: list[str]) -> None:
    """However long it runs."""
    StatefulSets(place.kubernetes.server).sync()
    Kubelet(place.kubernetes.server).start_all()
    for _ in range(5):
        place.clock.pass_by(10 * LATE)
        await place.passes(2)
    assert asked == []


async def test_a_pod_that_lost_its_label_is_named(place: Place) -> None:
    """A user took a label off to keep it from clients: the sentence has the label, and how to restore it."""
    StatefulSets(place.kubernetes.server).sync()
    Kubelet(place.kubernetes.server).start_all()
    await place.passes(2)
    place.kubernetes.server.patch(
        Kind.POD, NAMESPACE, POD, {"metadata": {"labels": {names.LABEL_INSTANCE: None}}}, USER
    )
    await place.passes(1)
    place.clock.pass_by(LATE)
    await place.passes(2)
    assert f"{POD} exists without its label {names.LABEL_INSTANCE}={CLUSTER}" in messages(place)


async def test_a_volume_that_cannot_be_mounted_is_named(place: Place) -> None:
    """The pod is there, its container is not started, and only its Events say why."""
    StatefulSets(place.kubernetes.server).sync()
    say(place, Kind.POD, POD, "FailedMount", 'MountVolume.SetUp failed: secret "vectors-auth" not found')
    place.clock.pass_by(stuck_pods.SLOW_START.total_seconds() + LATE)
    await place.passes(3)
    assert "FailedMount" in messages(place)
    assert "make the volume, Secret or ConfigMap that it names available" in messages(place)


@pytest.mark.parametrize(
    ("conditions", "since"),
    [
        ({"PodScheduled": ("False", "t1"), "Ready": ("False", "t2")}, "t1"),
        ({"PodScheduled": ("True", "t1"), "Ready": ("False", "t2")}, "t2"),
        ({"PodScheduled": ("True", "t1"), "Ready": ("True", "t2")}, ""),
        ({}, ""),
    ],
)
def test_a_pod_is_down_since_its_first_condition_that_is_false(
    conditions: dict[str, tuple[str, str]], since: str
) -> None:
    """What the kubelet and the scheduler say, in that order of need."""
    told = [
        {"type": kind, "status": is_so, "lastTransitionTime": at} for kind, (is_so, at) in conditions.items()
    ]
    manifest = {"metadata": {"name": "vectors-0", "uid": "u"}, "status": {"conditions": told}}
    assert pod_state(manifest, None).down_since == since
