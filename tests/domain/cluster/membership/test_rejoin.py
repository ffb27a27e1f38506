"""A pod whose old peer was removed need not sit out the kubelet's back-off to join again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.membership.lost_evidence import STILL_IN_CLUSTER
from qdrant_operator.domain.cluster.observed import Observed, PeerRecord, PodState
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import RestartPod
from qdrant_operator.domain.qdrant.views import PeerId
from tests.domain.clusters import desired, pod, view
from tests.domain.guards.cluster_worlds import peers

WORDS = f"Bad request: peer 102 {STILL_IN_CLUSTER}, remove its shards first or use a different URI"
"""Qdrant's last words when it starts on an empty volume under the URI of a member that holds shards."""
RESTART = RestartPod("vectors-2", "pod-2", "its old peer was removed, so it can join")
BACK_OFF = pod(2, ready=False, waiting="CrashLoopBackOff", message=WORDS)


def removed(down: PodState = BACK_OFF, peer: int = 102) -> Observed:
    """The peer of vectors-2 was removed by force; its pod tried to join before and was refused."""
    formed = peers(3, {0: (0, 1), 1: (0, 1)})
    rest = {
        f"vectors-{n}": replace(view(n, 2), collections=formed.peers[f"vectors-{n}"].collections)
        for n in (0, 1)
    }
    record = PeerRecord("vectors-2", PeerId(peer), "claim-2")
    pods = (*formed.pods[:2], down)
    known = (*formed.records[:2], record)
    return replace(formed, pods=pods, views=rest, records=known)


def restarts(observed: Observed) -> list[RestartPod]:
    """Pods that are recreated."""
    return [step for step in plan(desired(), observed).steps if isinstance(step, RestartPod)]


def test_a_refused_pod_is_made_anew_once_its_old_peer_is_gone() -> None:
    """Its name may be used again now; the pod in back-off would wait for up to five minutes."""
    assert restarts(removed()) == [RESTART]


def test_while_the_old_peer_is_a_member_it_is_left_alone() -> None:
    """It would be refused again."""
    assert restarts(removed(peer=101)) == []


@pytest.mark.parametrize(
    "down",
    [
        replace(BACK_OFF, message="Out of memory"),
        replace(BACK_OFF, waiting="ImagePullBackOff"),
        replace(BACK_OFF, terminating=True),
        replace(BACK_OFF, waiting="", message=""),
    ],
    ids=["another reason", "another wait", "going already", "trying now"],
)
def test_a_pod_that_waits_for_something_else_is_not_restarted(down: PodState) -> None:
    """A restart cures only this one refusal, and only a pod that sits in back-off."""
    assert restarts(removed(down)) == []


def test_a_pod_that_no_record_names_is_not_restarted() -> None:
    """A new pod of a scale-out has no old peer."""
    observed = removed()
    assert restarts(replace(observed, records=observed.records[:2])) == []
