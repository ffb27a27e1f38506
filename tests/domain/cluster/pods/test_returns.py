"""A peer that came back a moment ago is shown as it was, and may lack what was written in the meantime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.pods.returns import after_returns
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.placement.steps import DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import PeerId, ShardId
from tests.domain.clusters import collection, pod, seen, view

SHARD = ("docs", ShardId(0))
PODS = ("vectors-0", "vectors-3")
DROP = DropReplica(SHARD, PeerId(102), "vectors-2", "vectors-2 is leaving")
MOVE = MoveShard(SHARD, PeerId(100), PeerId(103), "snapshot", PODS, 1, "balance")
COPY = ReplicateShard(SHARD, PeerId(100), PeerId(103), "snapshot", PODS, 1, "one replica is missing")


def holders(*ordinals: int, back: int | None = None) -> Observed:
    """Four peers; these hold the only shard, which is wanted twice, and one of the peers has just come back."""
    views = {f"vectors-{n}": view(n, 4, collections=(collection(n, {0: ordinals}),)) for n in range(4)}
    observed = seen(tuple(pod(n) for n in range(4)), views, shards=shard_health(tuple(views.values())))
    return replace(observed, just_back=frozenset() if back is None else frozenset({f"vectors-{back}"}))


@pytest.mark.parametrize(
    ("step", "observed"),
    [(DROP, holders(0, 1, 2, back=1)), (MOVE, holders(0, 1, back=0)), (COPY, holders(0, 1, back=0))],
    ids=["a drop", "a move", "a copy"],
)
def test_what_relies_on_a_peer_that_has_just_come_back_waits(step: Step, observed: Observed) -> None:
    """Its replica may be called Dead in the next seconds; then the plan is another one."""
    waiting = after_returns(Plan((step,)), observed)
    assert waiting.steps == ()
    (wait,) = waiting.blocked
    assert (wait.step, wait.guard) == (str(step), ClusterGuard.ONE_AT_A_TIME)
    assert "must be ready for 10 s first" in wait.message
    assert after_returns(Plan((step,)), replace(observed, just_back=frozenset())).steps == (step,)


@pytest.mark.parametrize(
    ("step", "observed"),
    [
        (DROP, holders(0, 1, 2, back=2)),
        (DROP, holders(0, 1, 2, 3, back=1)),
        (MOVE, holders(0, back=0)),
        (COPY, holders(0, back=0)),
        (COPY, holders(0, 1, back=1)),
    ],
    ids=[
        "it goes itself",
        "enough others",
        "a move of the only one",
        "a copy of the only one",
        "another source",
    ],
)
def test_what_does_not_rely_on_it_goes_on(step: Step, observed: Observed) -> None:
    """No step waits for what it does not need."""
    assert after_returns(Plan((step,)), observed) == Plan((step,))
