"""The law about releases notices what it is for, and an outage in which the version is edited ends well."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.qdrant_sim.core.disk import Disk
from sandbox.simulation.director import Director
from sandbox.simulation.faults.outages import EVERY, WHICH
from sandbox.simulation.kubernetes.releases import objection
from sandbox.simulation.runs import run_seed


def pod(release: str) -> Manifest:
    """A pod that runs this release."""
    spec = {"containers": [{"name": "qdrant", "image": f"docker.io/qdrant/qdrant:{release}"}]}
    return {"metadata": {"name": "vectors-0"}, "spec": spec}


@pytest.mark.parametrize(
    ("release", "word"),
    [
        ("v1.18.9", "a volume of v1.19.0"),
        ("v1.21.0", "skips a minor"),
        ("v1.19.0", ""),
        ("v1.20.3", ""),
    ],
)
async def test_what_runs_must_fit_the_volume(release: str, word: str) -> None:
    """Lower and more than one minor release higher break the law; the start script refuses both."""
    director, disk = Director(WHICH), Disk()
    assert objection(pod("v1.19.0"), disk) == ""
    director.outages.on_start(pod("v1.19.0"), disk)
    assert bool(objection(pod(release), disk)) == bool(word)
    director.outages.on_start(pod(release), disk)
    assert [word in one for one in director.violations.found] == [True] * bool(word)


async def test_the_stateful_set_never_asks_for_less() -> None:
    """Also when no pod is made from it yet, and when status has forgotten what it said."""
    director = Director(WHICH)
    lower = {"metadata": {"name": "vectors"}, "spec": {"template": pod("v1.17.1")}}
    higher = {"metadata": {"name": "vectors"}, "spec": {"template": pod("v1.19.0")}}
    director.outages.on_change(Kind.STATEFUL_SET, "MODIFIED", higher)
    director.outages.on_change(Kind.STATEFUL_SET, "MODIFIED", lower)
    director.outages.on_change(Kind.CLUSTER, "MODIFIED", {"status": {"highestVersion": "v1.19.0"}})
    director.outages.on_change(Kind.CLUSTER, "MODIFIED", {"status": {}})
    director.outages.on_change(Kind.STATEFUL_SET, "MODIFIED", lower)
    assert director.violations.found == [], "it was asked for before anything was known"
    for one in (higher, lower):
        director.outages.on_change(Kind.STATEFUL_SET, "MODIFIED", one)
    assert director.violations.found == ["the StatefulSet wants v1.17.1, and v1.19.0 is known to have run"]


def test_a_story_has_an_outage_and_edits() -> None:
    """Else its law would say nothing."""
    run = run_seed(EVERY * 2 + WHICH)
    assert not run.violation, run.violation
    assert "an outage begins" in run.story
    assert "'version': 'v1.22.3'" in run.story
