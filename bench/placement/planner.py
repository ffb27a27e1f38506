"""`python -m bench planner`: the bytes that the planner moves, how long that takes, and how long planning takes.

No Kubernetes, no Qdrant. docs/benchmarks.md receives what is printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.placement.bounds import exact_optimum, flow_bound
from bench.placement.greedy import greedy
from bench.placement.layouts import EVENTS, SIZES, Size, event_label
from bench.placement.moves import (
    Quality,
    Transfer,
    after,
    holders,
    makespan,
    makespan_bound,
    quality,
    total,
    transfers,
)
from bench.placement.schedule import run
from bench.table import Row, aligned, machine
from qdrant_operator.domain.placement.forecast import whole_plan
from qdrant_operator.domain.placement.model import Layout, Policy
from qdrant_operator.domain.placement.planner import plan_placement

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SEEDS = (1, 2, 3)
EXACT_PEERS = 6
"""Up to here every placement is enumerated."""
QUICK_PEERS = 30
"""Up to here several seeds are tried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one method makes of a layout."""

    moved: int
    """Bytes."""
    makespan: float
    """As a multiple of what its own transfers need at least within the budget."""
    quality: Quality


@dataclass(frozen=True, slots=True)
class Result:
    """One event on one size of cluster."""

    label: str
    event: str
    exact: bool
    """The optimum is the true one; otherwise a lower bound."""
    optimum: int
    """Bytes."""
    planned: int
    """Bytes in the whole plan, made in one go."""
    loop: Outcome | None
    """The loop, which plans again whenever transfers end; None where that takes too long."""
    greedy: Outcome


@dataclass(frozen=True, slots=True)
class Timing:
    """How long planning took, in milliseconds."""

    what: str
    count: int
    p50: float
    p99: float
    cpu_p50: float
    """CPU time of this process; it does not depend on what else runs on the machine."""
    cpu_p99: float


def measure(runs: int) -> str:
    """Measure everything; print as it comes; the text for the page."""
    print("planner: bytes moved and makespan", flush=True)
    results = [_worst(size, event) for size in SIZES for event in EVENTS]
    moved = moves_table(results)
    print(moved, flush=True)
    size = SIZES[-1]
    print(f"\nplanner: planning time with {size.label} shards, {runs} plans for each event", flush=True)
    timings = times_table([_timings(size, event, runs) for event in EVENTS])
    print(timings, flush=True)
    return f"```text\n{moved}\n```\n\n```text\n{timings}\n```\n\nMachine: {machine_line()}.\n"


def write(text: str, page: Path = PAGE, section: str = "planner") -> Path:
    """Put the measured text between the page's marks of this section."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, rest = page.read_text().split(begin)
    _, behind = rest.split(end)
    page.write_text(f"{before}{begin}\n{text}{end}{behind}")
    return page


def machine_line() -> str:
    """Where the numbers come from, in words."""
    found = machine()
    return f"{found['cores']} cores, {found['machine']}, Python {found['python']}"


def _worst(size: Size, event: str) -> Result:
    """The worst of several seeds where that is quick: most bytes, then the longest makespan."""
    seeds = SEEDS if size.peers <= QUICK_PEERS else SEEDS[:1]
    return max((_measured(size, event, seed) for seed in seeds), key=_badness)


def _badness(result: Result) -> tuple[float, float]:
    return round(result.planned / result.optimum, 3), result.loop.makespan if result.loop else 0.0


def _measured(size: Size, event: str, seed: int) -> Result:
    layout, policy = EVENTS[event](size, seed), Policy(per_cluster=size.per_cluster)
    steps = whole_plan(layout, policy).steps
    left = quality(layout, after(layout, steps))
    assert (left.missing, left.crowded) == (0, 0), f"the whole plan does not settle {size.label}: {left}"
    exact = len(layout.peers) <= EXACT_PEERS
    moved, placed = greedy(layout)
    return Result(
        label=size.label,
        event=event_label(event, size),
        exact=exact,
        optimum=exact_optimum(layout) if exact else flow_bound(layout),
        planned=total(transfers(steps)),
        loop=_loop(layout, policy) if size.runs else None,
        greedy=_outcome(moved, makespan(moved, policy), policy, quality(layout, placed)),
    )


def _loop(layout: Layout, policy: Policy) -> Outcome:
    found = run(layout, policy)
    return _outcome(found.moved, found.makespan, policy, quality(layout, holders(found.end)))


def _outcome(moved: Sequence[Transfer], span: int, policy: Policy, found: Quality) -> Outcome:
    return Outcome(total(moved), span / max(makespan_bound(moved, policy), 1), found)


def _timings(size: Size, event: str, runs: int) -> tuple[Timing, Timing]:
    layout, policy = EVENTS[event](size, 1), Policy(per_cluster=size.per_cluster)
    return (
        _timed(f"{event_label(event, size)}: what starts now", lambda: plan_placement(layout, policy), runs),
        _timed(f"{event_label(event, size)}: to the end", lambda: whole_plan(layout, policy), runs),
    )


def _timed(what: str, work: Callable[[], object], runs: int) -> Timing:
    taken, cpu_used = [], []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        cpu_used.append((time.process_time() - cpu) * 1e3)
        taken.append((time.perf_counter() - began) * 1e3)
    return Timing(what, runs, *_cuts(taken), *_cuts(cpu_used))


def _cuts(values: Sequence[float]) -> tuple[float, float]:
    """The middle one, and the one that one of a hundred exceeds."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def moves_table(results: Sequence[Result]) -> str:
    """Bytes and makespans as multiples of the least that is possible."""
    head = (
        "peers x shards",
        "event",
        "least, GiB",
        "plan",
        "loop",
        "greedy",
        "span",
        "greedy",
        "left",
        "greedy",
    )
    return aligned([head, *map(_row, results)])


def _row(result: Result) -> Row:
    least = f"{'=' if result.exact else '>='} {result.optimum / 2**30:,.1f}"
    outcomes = (result.loop, result.greedy)
    return (
        result.label,
        result.event,
        least,
        f"{result.planned / result.optimum:.3f}",
        *(f"{outcome.moved / result.optimum:.3f}" if outcome else "-" for outcome in outcomes),
        *(f"{outcome.makespan:.3f}" if outcome else "-" for outcome in outcomes),
        *(_left(outcome.quality) if outcome else "-" for outcome in outcomes),
    )


def _left(found: Quality) -> str:
    """What is still wrong: replicas missing, counts too far apart, shards crowded into a zone."""
    return f"{found.missing}/{found.imbalance}/{found.crowded}"


def times_table(timings: Sequence[tuple[Timing, Timing]]) -> str:
    """Milliseconds."""
    rows: list[Row] = [("planning", "runs", "p50 ms", "p99 ms", "CPU p50", "CPU p99")]
    for pair in timings:
        rows += [_times_row(timing) for timing in pair]
    return aligned(rows)


def _times_row(timing: Timing) -> Row:
    milliseconds = (timing.p50, timing.p99, timing.cpu_p50, timing.cpu_p99)
    return (timing.what, str(timing.count), *(f"{value:.0f}" for value in milliseconds))
