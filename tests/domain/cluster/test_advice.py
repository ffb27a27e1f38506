"""What works and production should not have: status.advice."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.cluster.advice import advice
from qdrant_operator.domain.cluster.observed import PodState
from tests.domain.clusters import desired, pod, seen

LABEL = "topology.kubernetes.io/zone"
BY_ZONE: dict[str, Any] = {"shards": {"zoneKey": LABEL}}


def told(*pods: PodState, replicas: int = 3, **spec: Any) -> dict[str, str]:
    """Reason → message."""
    return {one.reason: one.message for one in advice(desired(replicas, **spec), seen(pods, {}))}


def test_a_plain_cluster_needs_no_advice() -> None:
    """Three peers with a key and without zones."""
    assert told(pod(0), pod(1), pod(2)) == {}


@pytest.mark.parametrize(
    ("replicas", "spec", "reason"),
    [(2, {}, "NoQuorumMargin"), (3, {"auth": {"disabled": True}}, "NoApiKey")],
)
def test_what_puts_data_at_risk_is_said(replicas: int, spec: dict[str, Any], reason: str) -> None:
    """Two peers, and no key, each with its own reason."""
    assert list(told(replicas=replicas, **spec)) == [reason]


def test_a_label_that_no_pod_has_is_said() -> None:
    """Zones are asked for and none is known: the spread that the user counts on is not there."""
    message = told(pod(0), pod(1), pod(2), **BY_ZONE)["ZoneUnknown"]
    assert f"no pod has the label {LABEL} (spec.shards.zoneKey): shards are not spread" in message
    assert "set it on the pods" in message


def test_pods_without_the_label_are_named() -> None:
    """Some pods say their zone and others do not."""
    message = told(pod(0, zone="a"), pod(1), pod(2, zone="b"), pod(3), replicas=4, **BY_ZONE)["ZoneUnknown"]
    assert f"without the label {LABEL} (spec.shards.zoneKey): vectors-1, vectors-3; such pods" in message
    assert "count as one zone of their own" in message


def test_many_pods_without_the_label_are_counted() -> None:
    """Five are named, the rest is a number."""
    pods = [pod(0, zone="a"), *(pod(number) for number in range(1, 9))]
    message = told(*pods, replicas=9, **BY_ZONE)["ZoneUnknown"]
    assert "vectors-4, vectors-5 and 3 more;" in message


@pytest.mark.parametrize("changes", [{"ready": False}, {"terminating": True}])
def test_a_pod_that_starts_or_goes_is_not_spoken_of(changes: dict[str, Any]) -> None:
    """Kubernetes copies the label when it binds the pod to its node: advice does not flicker with restarts."""
    assert told(pod(0, zone="a"), pod(1, zone="b"), pod(2, **changes), **BY_ZONE) == {}


def test_labelled_pods_need_no_advice() -> None:
    """Every pod says its zone."""
    assert told(*(pod(number, zone="abc"[number]) for number in range(3)), **BY_ZONE) == {}
