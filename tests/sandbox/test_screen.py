"""What the demo's screen says of an object."""

from __future__ import annotations

from typing import Any

from sandbox.demo.objects import Seen
from sandbox.demo.screen import describe


def seen(kind: str, **status: Any) -> Seen:
    """An object with a status."""
    return Seen(kind, {"metadata": {"name": "x", "generation": 2}, "status": status})


def test_a_pod_that_runs_and_is_not_ready_says_so() -> None:
    """Running is not enough: readiness and restarts are shown."""
    restarted = [{"restartCount": 2}]
    assert describe(seen("Pod", phase="Running", podIP="127.9.1.1", containerStatuses=restarted)) == (
        "NotReady",
        "127.9.1.1, 2 restarts",
    )
    ready = [{"type": "Ready", "status": "True"}]
    assert describe(seen("Pod", phase="Running", podIP="127.9.1.1", conditions=ready))[0] == "Running"


def test_a_condition_of_an_older_spec_is_not_true() -> None:
    """Ready for generation 1 says nothing of generation 2."""
    stale = [{"type": "Ready", "status": "True", "observedGeneration": 1}]
    assert not seen("QdrantCluster", conditions=stale).is_true("Ready")
    fresh = [{"type": "Ready", "status": "True", "observedGeneration": 2}]
    assert seen("QdrantCluster", conditions=fresh).is_true("Ready")


def test_an_object_without_status_is_pending() -> None:
    """Nothing is made up before the operator has looked."""
    assert describe(seen("QdrantSnapshot")) == ("Pending", "")
