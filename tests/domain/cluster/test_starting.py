"""What continues by itself is no alarm: the condition Progressing distinguishes it from what is down and stays so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qdrant_operator.domain.cluster.conditions import Reason, conditions
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.common.conditions import Condition, timestamp
from qdrant_operator.domain.qdrant.views import PeerId, ShardId, Transfer
from tests.domain.clusters import collection, decided, seen, settled, silence, view

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def looked(age: timedelta, *, waiting: str = "", ready: bool = False) -> Observed:
    """A settled cluster whose pod vectors-2 is so old, and silent unless it is ready."""
    base = settled(now=NOW)
    last = replace(base.pods[2], created=timestamp(NOW - age), waiting=waiting, ready=ready)
    found = replace(base, pods=(*base.pods[:2], last))
    return found if ready else silence(found, "vectors-2")


def progressing(observed: Observed) -> Condition:
    """The condition Progressing of this look, where nothing is planned."""
    return next(one for one in conditions(decided(observed)) if one.type == "Progressing")


def test_a_young_silent_pod_is_starting() -> None:
    """Its peer is loading or joining: that continues by itself; Degraded says what is not there in the meantime."""
    said = progressing(looked(timedelta(seconds=119)))
    assert (said.status, said.reason) == (True, Reason.STARTING)
    assert said.message == "started a moment ago: vectors-2"
    others = {one.type: one.status for one in conditions(decided(looked(timedelta(seconds=119))))}
    assert (others["Ready"], others["Degraded"]) == (False, True)


@pytest.mark.parametrize(
    "observed",
    [
        looked(timedelta(minutes=2)),
        looked(timedelta(seconds=5), waiting="ImagePullBackOff"),
        looked(timedelta(seconds=5), ready=True),
        replace(looked(timedelta(seconds=5)), now=None),
    ],
    ids=["old", "failing", "ready", "at no time"],
)
def test_nothing_starts_otherwise(observed: Observed) -> None:
    """An old pod that is silent is down, one whose container fails needs a user, a ready one is there."""
    assert progressing(observed).status is False


def test_a_transfer_that_runs_is_progress() -> None:
    """A shard has one of two replicas, and the other one is being copied: nothing is left to be asked for."""
    copying = Transfer(ShardId(0), PeerId(100), PeerId(101), "snapshot", keeps_source=True)
    short = collection(0, {0: (0,)})
    for transfers, goes_on in (((copying,), True), ((), False)):
        shown = replace(short, transfers=transfers)
        views = {f"vectors-{n}": view(n, collections=(shown,)) for n in range(3)}
        said = progressing(seen(settled().pods, views, stateful_set_replicas=3))
        assert (said.status, said.reason == Reason.REPLICAS_NOT_SOUND) == (goes_on, goes_on)
