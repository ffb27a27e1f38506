"""When no majority of the peers has its volume any more, status says so, and what may be done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.observed import Observed, PeerRecord, Volume
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import RemovePeer
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.qdrant.views import PeerId
from tests.domain.clusters import desired, pod, silence
from tests.domain.guards.cluster_worlds import peers

STEP = "elect a leader"


def without_volumes(count: int, *ordinals: int) -> Observed:
    """So many peers; the claims of some are new, and their pods crash because no peer admits them."""
    observed = silence(peers(count), *(f"vectors-{ordinal}" for ordinal in ordinals))
    new = {f"storage-vectors-{ordinal}": Volume(f"new-{ordinal}") for ordinal in ordinals}
    pods = tuple(
        replace(one, ready=False, waiting="CrashLoopBackOff") if one.ordinal in ordinals else one
        for one in observed.pods
    )
    return replace(observed, pods=pods, volumes={**observed.volumes, **new})


def sentences(observed: Observed) -> list[str]:
    """What is said about the lost majority."""
    count = len(observed.records)
    return [wait.message for wait in plan(desired(count), observed).blocked if wait.step == STEP]


@pytest.mark.parametrize(
    ("count", "lost"), [(1, (0,)), (2, (1,)), (3, (0, 1, 2)), (3, (0, 2)), (4, (0, 1))], ids=str
)
def test_a_lost_majority_has_a_sentence_and_a_way_out(count: int, lost: tuple[int, ...]) -> None:
    """Which claims, and that it is the user who brings volumes back or begins again; no step until then."""
    observed = without_volumes(count, *lost)
    (message,) = sentences(observed)
    assert all(f"storage-vectors-{ordinal}" in message for ordinal in lost)
    assert "create it again" in message
    result = plan(desired(count), observed)
    assert {wait.guard for wait in result.blocked if wait.step == STEP} == {ClusterGuard.VOLUME_LOST}
    assert not [step for step in result.steps if isinstance(step, RemovePeer)]


def test_a_missing_claim_is_a_lost_volume_too() -> None:
    """The pods are gone with their claims, and nothing has been made instead."""
    observed = without_volumes(3, 0, 1)
    volumes = {name: one for name, one in observed.volumes.items() if not one.uid.startswith("new-")}
    assert sentences(replace(observed, volumes=volumes, pods=observed.pods[2:]))


def test_nothing_is_said_while_a_majority_is_left_or_may_come_back() -> None:
    """One of three; pods that still start, perhaps on restored volumes; peers that answer; unknown volumes."""
    assert not sentences(without_volumes(3, 2))
    lost = without_volumes(3, 0, 1, 2)
    starting = tuple(replace(one, waiting="") for one in lost.pods)
    assert not sentences(replace(lost, pods=starting))
    assert not sentences(replace(lost, views=peers(3).views))
    unknown = tuple(PeerRecord(f"vectors-{n}", PeerId(100 + n), "") for n in range(3))
    assert not sentences(replace(lost, records=unknown))
    assert not sentences(replace(lost, volumes=peers(3).volumes, pods=(pod(0), pod(1), pod(2))))
