"""A removed peer whose pod is not the topmost one any more: pods were added above it before that could be refused."""

from __future__ import annotations

from dataclasses import replace

from qdrant_operator.domain.cluster.observed import Observed, PodState
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import ScaleInStatefulSet
from qdrant_operator.domain.common.guards import ClusterGuard
from tests.domain.clusters import desired, pod
from tests.domain.membership_worlds import CREATED, REMOVED, four, out, records, without_top

WANTED = replace(desired(3), pod_count=5)


def below(top: PodState) -> Observed:
    """vectors-3 has been removed, and the StatefulSet has five pods."""
    removed = without_top(out(four(), leaving=REMOVED))
    return replace(removed, stateful_set_replicas=5, records=records(3), pods=(*removed.pods, top))


def test_a_pod_above_it_whose_peer_never_joined_goes_first() -> None:
    """It does not run, and no peer runs there: the StatefulSet is lowered by that pod."""
    top = pod(4, created=CREATED, waiting="CrashLoopBackOff", ready=False)
    assert plan(WANTED, below(top)).steps == (ScaleInStatefulSet("vectors-4", 4),)


def test_a_pod_above_it_that_may_be_a_member_stays() -> None:
    """The sentence says how the removed peer's pod gets a new volume, so that another peer joins from it."""
    result = plan(WANTED, below(pod(4, created=CREATED)))
    assert not [step for step in result.steps if isinstance(step, ScaleInStatefulSet)]
    (wait,) = [wait for wait in result.blocked if wait.guard is ClusterGuard.ONE_AT_A_TIME]
    assert "kubectl delete pvc storage-vectors-3 --wait=false && kubectl delete pod vectors-3" in wait.message
