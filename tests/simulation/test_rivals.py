"""A contested object is noticed when it is written without a pause."""

from __future__ import annotations

from qdrant_operator.domain.common.kinds import Kind
from sandbox.fakes.kubernetes import Write
from sandbox.simulation.director import Director
from sandbox.simulation.faults.rivals import EVERY, FIELDS, MOST, WHICH
from sandbox.simulation.runs import run_seed
from sandbox.simulation.world.names import CLUSTER, NAMESPACE


async def test_a_flood_of_writes_breaks_a_law() -> None:
    """A dozen are tries, first in a row and then after pauses; one more is a flood."""
    director = Director(WHICH)
    writes = [Write("apply", kind, NAMESPACE, CLUSTER) for kind in FIELDS]
    for _ in range(MOST):
        for write in writes:
            director.rivals.before_write(write)
    assert director.violations.found == []
    for write in writes:
        director.rivals.before_write(write)
    assert len(director.violations.found) == 1, "one kind is contested"


async def test_other_stories_have_no_rival() -> None:
    """Else every seed would tell another story."""
    director = Director(WHICH + 1)
    for _ in range(MOST * 2):
        director.rivals.before_write(Write("apply", Kind.SERVICE, NAMESPACE, CLUSTER))
    assert director.violations.found == []
    assert not director.rivals.at_work


def test_a_rival_that_never_ends_holds_nothing_else_up() -> None:
    """A service account that an admission webhook changes to the end; the cluster settles all the same."""
    run = run_seed(EVERY * 9 + WHICH)
    assert not run.violation, run.violation
