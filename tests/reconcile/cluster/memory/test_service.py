"""The operator waits for pods that left the client Service, because nodes hear of it later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.reconcile.cluster.memory.service import LEAVES_WITHIN, ServiceMemory
from tests.domain.clusters import settled

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
IN_SERVICE = settled().pods
OUT = (*IN_SERVICE[:-1], replace(IN_SERVICE[-1], serving=False))
NAME, ADDRESS = OUT[-1].name, str(OUT[-1].address)


def test_a_pod_that_left_is_waited_for() -> None:
    """From the first look that does not find it in the Service it counts as reached for three seconds."""
    memory = ServiceMemory()
    assert memory.just_left(OUT, frozenset({ADDRESS}), NOW) == frozenset()
    assert memory.just_left(OUT, frozenset(), NOW) == {NAME}
    assert memory.just_left(OUT, frozenset(), NOW + LEAVES_WITHIN - MOMENT) == {NAME}
    assert memory.just_left(OUT, frozenset(), NOW + LEAVES_WITHIN) == frozenset()
    assert timedelta(seconds=3) <= LEAVES_WITHIN


def test_a_pod_that_came_back_is_waited_for_anew() -> None:
    """Back in service in between, or another pod of the name: the time begins again."""
    memory = ServiceMemory()
    assert memory.just_left(OUT, frozenset(), NOW) == {NAME}
    assert memory.just_left(IN_SERVICE, frozenset({ADDRESS}), NOW + MOMENT) == frozenset()
    later = NOW + LEAVES_WITHIN
    assert memory.just_left(OUT, frozenset(), later) == {NAME}
    another = (*OUT[:-1], replace(OUT[-1], uid="another"))
    assert memory.just_left(another, frozenset(), later + LEAVES_WITHIN) == {NAME}


def test_what_is_in_service_is_never_waited_for() -> None:
    """A pod that serves has not left, however long it is not listed."""
    assert ServiceMemory().just_left(IN_SERVICE, frozenset(), NOW) == frozenset()
