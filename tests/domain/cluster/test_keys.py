"""When another API key takes effect, and which pods are restarted for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import RestartPod
from qdrant_operator.domain.cluster.wanted.keys import may_exchange
from qdrant_operator.domain.qdrant.views import Silent
from tests.domain.clusters import desired, pod, seen, settled

REFUSED = Silent("Invalid API key or JWT", key_refused=True)
SILENT = Silent("connection refused")


def phase(name: str | None, observed: Observed) -> Observed:
    """The same look in another phase of the formation."""
    found = Bootstrap(BootstrapPhase(name), "vectors-0") if name else None
    return replace(observed, bootstrap=found)


def answers(*views: Silent) -> Observed:
    """Pods whose peers say this."""
    pods = tuple(pod(n) for n in range(len(views)))
    return seen(
        pods, {f"vectors-{n}": view for n, view in enumerate(views)}, stateful_set_replicas=len(views) or None
    )


@pytest.mark.parametrize(
    ("name", "observed", "may"),
    [
        ("Started", answers(SILENT), True),
        ("Formed", settled(), True),
        ("Adopted", settled(), False),
        ("Adopted", answers(SILENT, SILENT), False),
        ("Adopted", answers(SILENT, REFUSED), True),
        ("Adopted", answers(), True),
        (None, answers(), True),
        (None, settled(), False),
        ("Complete", settled(), False),
        ("Complete", answers(SILENT), False),
        ("Complete", answers(), False),
        ("Complete", answers(REFUSED, SILENT), True),
    ],
)
def test_a_key_in_force_is_exchanged_only_where_no_peer_takes_it(
    name: str | None, observed: Observed, may: bool
) -> None:
    """Or while the first formation is under way. Silence alone proves nothing about a cluster that was there."""
    assert may_exchange(phase(name, observed)) is may


@pytest.mark.parametrize("name", ["Started", "Formed", "Adopted"])
def test_pods_with_the_key_from_before_are_restarted(name: str) -> None:
    """Only such as refuse the key and lack the present template: a proxy that refuses everything restarts nothing."""
    wanted = desired(1)
    present = seen((pod(0, wanted),), {"vectors-0": REFUSED}, stateful_set_replicas=1)
    exchanged = replace(wanted, credentials=replace(wanted.credentials, api_key="new", revision=1))
    steps = plan(exchanged, phase(name, present)).steps
    assert [step.pod for step in steps if isinstance(step, RestartPod)] == ["vectors-0"]
    assert not any(isinstance(step, RestartPod) for step in plan(wanted, phase(name, present)).steps)
    silent = replace(present, views={"vectors-0": SILENT})
    assert not any(isinstance(step, RestartPod) for step in plan(exchanged, phase(name, silent)).steps)
