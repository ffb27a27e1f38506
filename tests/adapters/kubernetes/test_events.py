"""Events tell each thing once, count repeats, and never harm the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from qdrant_operator.adapters.kubernetes.events import PER_MINUTE, Events
from qdrant_operator.domain.common.kinds import Manifest
from tests.adapters.http_stub import saying, serving

ABOUT: Manifest = {
    "apiVersion": "qdrantoperator.dev/v1alpha1",
    "kind": "QdrantCluster",
    "metadata": {"name": "vectors", "namespace": "here", "uid": "u1", "resourceVersion": "5"},
}


class _Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class _Written:
    """An API server's Events, as written: POST stores, PATCH merges series."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.writes = 0

    async def __call__(self, request: web.Request) -> web.Response:
        self.writes += 1
        body = await request.json()
        if request.method == "POST":
            self.events[body["metadata"]["name"]] = body
            return web.json_response(body, status=201)
        name = request.path.rsplit("/", 1)[1]
        if name not in self.events:
            return web.json_response({"message": "not found", "reason": "NotFound"}, status=404)
        self.events[name] |= body
        return web.json_response(self.events[name])

    @property
    def all(self) -> list[Any]:
        return list(self.events.values())


@pytest.fixture
def clock() -> _Clock:
    """A clock that stands until it is moved."""
    return _Clock()


@pytest.fixture
def written() -> _Written:
    """Where Events end up."""
    return _Written()


@pytest.fixture
async def events(clock: _Clock, written: _Written) -> AsyncIterator[Events]:
    """The writer under test."""
    async with serving(written) as transport:
        yield Events(transport, clock, "operator-0")


async def _emit(events: Events, message: str = "Peer vectors-0 formed the cluster", **about: str) -> None:
    subject = {**ABOUT, "metadata": {**ABOUT["metadata"], **about}}
    await events.emit(subject, kind="Normal", reason="Formed", message=message)


async def test_an_event_names_its_object_and_its_author(events: Events, written: _Written) -> None:
    """Regarding points at exactly this object; type, reason, note and controller are filled."""
    await _emit(events)

    (event,) = written.all
    assert event["regarding"] == {
        "apiVersion": "qdrantoperator.dev/v1alpha1",
        "kind": "QdrantCluster",
        "name": "vectors",
        "namespace": "here",
        "uid": "u1",
        "resourceVersion": "5",
    }
    assert (event["type"], event["reason"], event["note"]) == (
        "Normal",
        "Formed",
        "Peer vectors-0 formed the cluster",
    )
    assert (event["reportingController"], event["reportingInstance"]) == (
        "qdrantoperator.dev/operator",
        "operator-0",
    )
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"


async def test_a_repeated_sentence_is_one_event_with_a_count(
    events: Events, written: _Written, clock: _Clock
) -> None:
    """Told every five seconds for a minute: one Event, a count, and few writes."""
    for _ in range(13):
        await _emit(events)
        clock.advance(5)

    (event,) = written.all
    assert event["series"]["count"] >= 8
    assert event["series"]["lastObservedTime"] > event["eventTime"]
    assert written.writes <= 4


async def test_another_object_reason_or_sentence_is_another_event(events: Events, written: _Written) -> None:
    """Only the same thing about the same object is folded."""
    await _emit(events)
    await _emit(events, message="Something else")
    await _emit(events, uid="u2", name="other")

    assert len(written.all) == 3
    assert not any("series" in event for event in written.all)


async def test_after_a_pause_it_is_news_again(events: Events, written: _Written, clock: _Clock) -> None:
    """Ten minutes without it, and the same sentence makes a new Event."""
    await _emit(events)
    clock.advance(601)
    await _emit(events)

    assert len(written.all) == 2


async def test_an_event_that_the_server_forgot_is_written_anew(
    events: Events, written: _Written, clock: _Clock
) -> None:
    """Events live an hour on the server; counting up one that is gone makes a new one."""
    await _emit(events)
    written.events.clear()
    clock.advance(60)
    await _emit(events)

    assert len(written.all) == 1


async def test_one_object_cannot_flood_the_server(events: Events, written: _Written, clock: _Clock) -> None:
    """A hundred different sentences in a minute make ten writes; another object is not held back."""
    for number in range(100):
        await _emit(events, message=f"sentence {number}")
    assert written.writes == PER_MINUTE
    await _emit(events, uid="u2", name="other")
    assert written.writes == PER_MINUTE + 1
    clock.advance(61)
    await _emit(events, message="next minute")

    assert written.writes == PER_MINUTE + 2


async def test_a_long_sentence_is_cut_at_the_servers_limit(events: Events, written: _Written) -> None:
    """The API takes 1024 bytes, whatever the script."""
    await _emit(events, message="é" * 2000)

    (event,) = written.all
    assert 1000 < len(event["note"].encode()) <= 1024
    assert event["note"].endswith("é…")


@pytest.mark.parametrize("code", [403, 404, 409, 422, 500])
async def test_a_server_that_refuses_events_does_not_harm_the_caller(code: int, clock: _Clock) -> None:
    """Whatever it answers, emit returns."""
    async with serving(saying(code, message="no")) as transport:
        events = Events(transport, clock, "operator-0")
        await _emit(events)
        await _emit(events)
