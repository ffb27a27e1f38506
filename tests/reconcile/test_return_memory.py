"""Pods that came back are waited for, because requests from before fail later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.reconcile.return_memory import FAILS_WITHIN, ReturnMemory
from tests.domain.clusters import settled

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


def test_nothing_is_known_of_the_time_before() -> None:
    """A new operator waits for every pod once, whatever the kubelet's clock says."""
    assert ReturnMemory().just_back(READY, NOW) == {pod.name for pod in READY}
