"""A Warning is sent once for as long as status shows it, whatever the kind."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.reconcile.context import Context, Options
from qdrant_operator.reconcile.reporting.events import warn_once
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.collection_world import FaultyRest, ManualClock, Recorder

REASON, MESSAGE = "TooFewPeers", "the cluster has 2 peers"
CONDITION = {"type": "Ready", "status": "False", "reason": REASON, "message": MESSAGE}
BLOCKED = {"step": "create collection docs", "guard": REASON, "message": MESSAGE}
OTHER_MESSAGE = {"message": "the cluster has 1 peer"}


async def events(kind: Kind, status: Manifest, *, text: str = "") -> list[tuple[str, str, str]]:
    """Events of one pass that begins with this status."""
    clock, recorder, peers = ManualClock(), Recorder(), FaultyRest()
    context = Context(FakeKubernetes(now=clock.now), peers, clock, recorder, Options("operator:test"))
    await warn_once(context, kind, {"metadata": {}, "status": status}, REASON, MESSAGE, text=text)
    await peers.close()
    return recorder.events


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.COLLECTION, Kind.SCHEDULE, Kind.SNAPSHOT])
async def test_a_warning_that_a_condition_shows_is_not_sent_again(kind: Kind) -> None:
    """Whichever condition it is."""
    assert await events(kind, {}) == [("Warning", REASON, MESSAGE)]
    assert await events(kind, {"conditions": [CONDITION]}) == []


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.COLLECTION])
async def test_a_warning_that_a_blocked_step_shows_is_not_sent_again(kind: Kind) -> None:
    """The condition may show another one."""
    assert await events(kind, {"blocked": [BLOCKED]}) == []


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{**CONDITION, **OTHER_MESSAGE}]},
        {"conditions": [{**CONDITION, "reason": "NameClash"}]},
        {"blocked": [{**BLOCKED, **OTHER_MESSAGE}]},
        {"blocked": [{**BLOCKED, "guard": "NameClash"}]},
    ],
)
async def test_another_reason_or_message_is_new(status: Manifest) -> None:
    """Both belong to the key."""
    assert await events(Kind.COLLECTION, status) == [("Warning", REASON, MESSAGE)]


async def test_an_event_may_say_more_than_the_message_in_status() -> None:
    """For example which step is blocked."""
    text = f"create collection docs: {MESSAGE}"
    assert await events(Kind.CLUSTER, {}, text=text) == [("Warning", REASON, text)]
    assert await events(Kind.CLUSTER, {"blocked": [BLOCKED]}, text=text) == []
