"""A pod that does not come up or does not go away is named, with the reason and a remedy that does no harm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, PodState
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.pods.stuck import missing_labels, not_created, not_stopped, unlabelled
from qdrant_operator.domain.common.child_progress import Hindrance
from qdrant_operator.domain.common.conditions import timestamp
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.qdrant.views import PeerId
from tests.domain.clusters import desired, pod, settled

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUOTA = Hindrance("the statefulset-controller", "FailedCreate", "exceeded quota: team, used: pods=5")


def test_a_pod_that_a_quota_forbids_says_so() -> None:
    """The controller's words, since when, and the remedy."""
    why = not_created("vectors-1", NOW, QUOTA).why
    assert why.startswith(
        "pod vectors-1 does not exist since 2026-01-01T12:00:00Z: the statefulset-controller says"
    )
    assert "exceeded quota" in why
    assert why.endswith("raise the ResourceQuota, or delete what uses it up and is not needed")


def test_a_pod_that_stops_on_a_node_that_is_gone_names_the_node() -> None:
    """Not within its grace period, nor a minute after it: clocks differ. Force is for a node that is really off."""
    ended = "2026-01-01T11:58:59Z"
    assert not_stopped("vectors-1", "node-a", ended, NOW - timedelta(seconds=2)) is None
    found = not_stopped("vectors-1", "node-a", ended, NOW)
    assert found is not None
    assert found.step == "stop vectors-1"
    assert "kubelet of node node-a" in found.why
    assert "Only if it is powered off or lost permanently" in found.why


def test_a_pod_without_its_labels_is_named_with_them() -> None:
    """What kubectl needs is in the sentence."""
    missing = missing_labels({"metadata": {"labels": {"a": "1", "b": "other"}}}, {"a": "1", "b": "2"})
    assert missing == {"b": "2"}
    told = unlabelled("vectors-1", missing, NOW).why
    assert "kubectl label pod vectors-1 b=2" in told
    assert told.startswith(f"since {timestamp(NOW)} ")


def test_it_is_said_while_the_cluster_forms_and_first_of_all() -> None:
    """vectors-0 answers and waits for the others: that is no cause."""
    first: tuple[PodState, ...] = (pod(0),)
    forming = replace(
        settled(),
        bootstrap=Bootstrap(BootstrapPhase.FORMED, "vectors-0", PeerId(100)),
        pods=first,
        views={"vectors-0": settled().views["vectors-0"]},
        stuck_pods=(not_created("vectors-1", NOW, QUOTA),),
    )
    waits = plan(desired(), forming).blocked
    assert waits[0].guard is ClusterGuard.POD_NOT_RUNNING
    assert "exceeded quota" in waits[0].message


def test_it_is_said_of_a_cluster_that_was_formed() -> None:
    """A pod that is not made again after its node went is in status.blocked."""
    observed = replace(settled(), stuck_pods=(not_created("vectors-2", NOW, QUOTA),))
    (wait,) = plan(desired(), observed).blocked
    assert (wait.step, wait.guard) == ("create vectors-2", ClusterGuard.POD_NOT_RUNNING)


def test_an_image_that_cannot_be_pulled_has_a_remedy() -> None:
    """The kubelet's words are followed by what to check."""
    down = pod(2, ready=False, waiting="ImagePullBackOff", message="Back-off pulling image")
    (wait,) = plan(desired(), replace(settled(), pods=(pod(0), pod(1), down))).blocked
    assert "spec.image.pullSecrets" in wait.message


def test_a_pod_that_does_not_run_says_since_when() -> None:
    """Minutes of a pull are patience, days are not."""
    down = pod(2, ready=False, waiting="ImagePullBackOff", down_since=timestamp(NOW))
    (wait,) = plan(desired(), replace(settled(), pods=(pod(0), pod(1), down))).blocked
    assert wait.message.startswith(f"vectors-2 does not run: since {timestamp(NOW)} ImagePullBackOff")
