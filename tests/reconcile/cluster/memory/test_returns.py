"""The operator waits for pods that came back, because requests from before fail later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.reconcile.cluster.memory.returns import FAILS_WITHIN, ReturnMemory
from qdrant_operator.reconcile.cluster.pods import pod_state
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.statefulset import Kubelet
from tests.domain.clusters import settled
from tests.reconcile.collection_world import NAMESPACE, ManualClock, manifest

NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
READY = settled().pods
NAME = READY[-1].name
AWAY = (*READY[:-1], replace(READY[-1], ready=False))
BACK = (*READY[:-1], replace(READY[-1], uid="another"))


def test_a_pod_that_came_back_is_waited_for() -> None:
    """From the first look that finds it ready it counts as just back for ten seconds; the others long do not."""
    memory = ReturnMemory()
    memory.just_back(AWAY, NOW)
    now = NOW + FAILS_WITHIN
    assert memory.just_back(BACK, now) == {NAME}
    assert memory.just_back(BACK, now + FAILS_WITHIN - MOMENT) == {NAME}
    assert memory.just_back(BACK, now + FAILS_WITHIN) == frozenset()
    assert timedelta(seconds=9.5) < FAILS_WITHIN


def test_a_pod_that_was_not_ready_in_between_is_waited_for_anew() -> None:
    """Its container restarted: the same pod, and requests that did not reach it."""
    memory = ReturnMemory()
    memory.just_back(READY, NOW)
    now = NOW + FAILS_WITHIN
    assert memory.just_back(AWAY, now) == frozenset()
    assert memory.just_back(READY, now + MOMENT) == {NAME}


def test_a_pod_that_was_away_between_two_looks_is_waited_for() -> None:
    """A look may take longer than a container needs to start again: the pod shows that it was not always there."""
    memory = ReturnMemory()
    memory.just_back(READY, NOW)
    now = NOW + FAILS_WITHIN
    assert memory.just_back(READY, now) == frozenset()
    again = (*READY[:-1], replace(READY[-1], life="1 2026-11-22T01:00:11Z"))
    assert memory.just_back(again, now + MOMENT) == {NAME}
    assert memory.just_back(again, now + MOMENT + FAILS_WITHIN) == frozenset()


def test_nothing_is_known_of_the_time_before() -> None:
    """A new operator waits for every pod once, whatever the kubelet's clock says."""
    assert ReturnMemory().just_back(READY, NOW) == {pod.name for pod in READY}


def test_a_pods_life_is_another_one_after_it_was_away() -> None:
    """Readiness that turned twice, or a container that started again, shows although the pod is ready at both looks."""
    clock = ManualClock()
    server = FakeApiServer(clock.now)
    kubelet = Kubelet(server)
    pod = kubelet.start(server.create(manifest(Kind.POD, "vectors-0", {}), "test"))
    before = pod_state(pod, None)
    clock.pass_by(30)
    assert pod_state(kubelet.ready(pod, ready=True), None) == before
    kubelet.ready(pod, ready=False)
    assert pod_state(kubelet.ready(pod, ready=True), None).life != before.life
    status = {**pod["status"], "containerStatuses": [{"name": "qdrant", "restartCount": 1}]}
    server.put_status(Kind.POD, NAMESPACE, "vectors-0", status)
    restarted = server.get(Kind.POD, NAMESPACE, "vectors-0")
    assert restarted is not None
    assert pod_state(restarted, None).life != before.life
