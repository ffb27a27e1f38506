"""The ablation: an optimiser is taken out for one run, and the planner is whole again afterwards."""

from __future__ import annotations

import pytest

from bench.placement.ablation import FULL, OPTIMISERS, Optimiser, Trial, cost, measure, without
from bench.placement.layouts import EVENTS, SIZES
from bench.placement.moves import Quality
from qdrant_operator.domain.placement.model import Policy

SMALL = SIZES[0]


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_an_optimiser_is_taken_out_and_put_back(optimiser: Optimiser) -> None:
    """Every place names something of the planner, which is replaced within the context only."""
    before = [getattr(owner, name) for owner, name, _ in optimiser.places]
    with without(optimiser):
        assert [getattr(owner, name) for owner, name, _ in optimiser.places] == [
            replacement for _, _, replacement in optimiser.places
        ]
    assert [getattr(owner, name) for owner, name, _ in optimiser.places] == before


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
@pytest.mark.parametrize("event", EVENTS)
def test_a_small_cluster_settles_without_it(optimiser: Optimiser, event: str) -> None:
    """None of them is needed for safety, and in a small cluster none is needed to settle."""
    found = cost(EVENTS[event](SMALL, 1), Policy(per_cluster=2), optimiser)
    assert found.quality == Quality(missing=0, imbalance=0, crowded=0)
    assert found.bytes > 0


def test_without_the_flow_more_is_copied() -> None:
    """The least bytes come from the min-cost flow; seed 1 shows it."""
    layout, policy = EVENTS["scale out"](SMALL, 1), Policy(per_cluster=2)
    flow = next(optimiser for optimiser in OPTIMISERS if optimiser.name == "target/min_cost_flow")
    assert cost(layout, policy, flow).bytes > cost(layout, policy).bytes


def test_nothing_taken_out_changes_nothing() -> None:
    """The full planner gives the same result each time."""
    layout, policy = EVENTS["scale in"](SMALL, 1), Policy(per_cluster=2)
    first, second = cost(layout, policy), cost(layout, policy, FULL)
    assert (first.bytes, first.span) == (second.bytes, second.span)


def test_the_table_has_what_changes() -> None:
    """Rows of optimisers that change bytes or span after the event, and none for those that do not."""
    text = measure((Trial(SMALL, ("scale out",), (1,)),))
    assert "target/min_cost_flow" in text
    assert "target/exchange" not in text
