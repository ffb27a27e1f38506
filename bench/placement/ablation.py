"""`python -m bench ablation`: what each optimiser of the planner saves, measured by the planner without it.

The loop runs to its end on the planner's layouts, once with the full planner and once with each optimiser taken out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from bench.placement.layouts import EVENTS, SIZES, Size, event_label
from bench.placement.moves import Quality, holders, quality, total
from bench.placement.schedule import run
from bench.table import Row, aligned
from qdrant_operator.domain.placement import next_step
from qdrant_operator.domain.placement.model import Layout, Policy
from qdrant_operator.domain.placement.next_step import Action, Copy
from qdrant_operator.domain.placement.schedule import queues
from qdrant_operator.domain.placement.schedule.queues import Queues
from qdrant_operator.domain.placement.target import balance, compute, min_cost_flow

Place = tuple[object, str, object]
"""Where a function is, its name, and what replaces it."""


@dataclass(frozen=True, slots=True)
class Optimiser:
    """A part of the planner that can be taken out without making it unsafe."""

    name: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """Clusters of one size, with these events and seeds."""

    size: Size
    events: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the loop needs from one layout to the settled placement."""

    bytes: int
    span: int
    """When the last transfer ends; time is counted in bytes."""
    planning: float
    """CPU seconds of all passes."""
    quality: Quality


TRIALS = (
    Trial(SIZES[0], tuple(EVENTS), tuple(range(1, 11))),
    Trial(SIZES[1], tuple(EVENTS), (1, 2)),
    Trial(SIZES[2], ("scale out",), (1,)),
)
"""Fewer seeds and events where one run takes seconds, so that all take about two minutes."""


def _nothing(*_: object, **__: object) -> None:
    """Stands for an optimiser that changes the assignment."""


def _unimproved(ordered: list[Copy], *_: object) -> list[Copy]:
    return ordered


def _by_name(_: Queues, copy: Copy) -> tuple[object, ...]:
    """The order that priority and redundancy demand, and then any."""
    return copy.priority, 0 if copy.moves else len(copy.replicas.sound), copy.replicas.shard.ref


_move = next_step._move


def _first_pair_only(*arguments: Any) -> Action:
    action = _move(*arguments)
    return replace(action, alternatives=()) if isinstance(action, Copy) else action


_ORDER: tuple[Place, ...] = ((Queues, "_urgency", _by_name),)
_SEARCH: tuple[Place, ...] = ((queues, "_improved", _unimproved),)
OPTIMISERS = (
    Optimiser("target/exchange", ((compute, "exchange_new_replicas", _nothing),)),
    Optimiser("target/min_cost_flow", ((min_cost_flow, "cheapen", _nothing),)),
    Optimiser(
        "target/balance",
        tuple((balance, name, _nothing) for name in ("balance_zones", "balance_groups", "balance_totals")),
    ),
    Optimiser("next_step: alternatives", ((next_step, "_move", _first_pair_only),)),
    Optimiser("schedule/queues: order", _ORDER),
    Optimiser("schedule/local_search", _SEARCH),
    Optimiser("both of schedule", _ORDER + _SEARCH),
)
"""Each is taken out alone; the two of schedule also together, as each of them can do part of the other's work."""
FULL = Optimiser("nothing", ())


@contextmanager
def without(optimiser: Optimiser) -> Iterator[None]:
    """The planner without this optimiser, as long as the context lasts."""
    with ExitStack() as stack:
        for owner, name, replacement in optimiser.places:
            stack.enter_context(patch.object(owner, name, replacement))
        yield


def cost(layout: Layout, policy: Policy, optimiser: Optimiser = FULL) -> Cost:
    """Run the loop to its end without the optimiser."""
    with without(optimiser):
        began = time.process_time()
        schedule = run(layout, policy)
        planning = time.process_time() - began
    end = quality(layout, holders(schedule.end))
    return Cost(total(schedule.moved), schedule.makespan, planning, end)


def measure(trials: Sequence[Trial] = TRIALS) -> str:
    """Measure everything; print as it comes; the text for the page."""
    rows: list[Row] = [HEAD]
    print("ablation: the planner without each of its optimisers", flush=True)
    for trial in trials:
        for event in trial.events:
            rows += _rows(trial, event)
    return f"```text\n{aligned(rows)}\n```\n"


HEAD: Row = (
    "peers x shards",
    "event",
    "taken out",
    "bytes",
    "worst",
    "span",
    "best",
    "worst",
    "planning",
    "left",
)


def _rows(trial: Trial, event: str) -> list[Row]:
    """Of the optimisers that change something; the others are left out."""
    layouts = [EVENTS[event](trial.size, seed) for seed in trial.seeds]
    policy = Policy(per_cluster=trial.size.per_cluster)
    full = [cost(layout, policy) for layout in layouts]
    rows: list[Row] = []
    for optimiser in OPTIMISERS:
        costs = [cost(layout, policy, optimiser) for layout in layouts]
        row = (trial.size.label, event_label(event, trial.size), optimiser.name, *_ratios(full, costs))
        print("  ".join(row), flush=True)
        if any(_differs(before, after) for before, after in zip(full, costs, strict=True)):
            rows.append(row)
    return rows


def _differs(before: Cost, after: Cost) -> bool:
    return (before.bytes, before.span) != (after.bytes, after.span)


def _ratios(full: Sequence[Cost], costs: Sequence[Cost]) -> Row:
    pairs = list(zip(full, costs, strict=True))
    moved = [after.bytes / before.bytes for before, after in pairs]
    span = [after.span / before.span for before, after in pairs]
    planning = sum(after.planning for after in costs) / sum(before.planning for before in full)
    ratios = (statistics.mean(moved), max(moved), statistics.mean(span), min(span), max(span))
    return (*(f"{ratio:.3f}" for ratio in ratios), f"{planning:.2f}", _worst_left(costs))


def _worst_left(costs: Sequence[Cost]) -> str:
    """Replicas missing, counts too far apart, shards crowded into a zone: the worst of all layouts."""
    missing = max(cost.quality.missing for cost in costs)
    imbalance = max(cost.quality.imbalance for cost in costs)
    crowded = max(cost.quality.crowded for cost in costs)
    return f"{missing}/{imbalance}/{crowded}"
