"""`python -m bench planner`: how much the planner moves, how long that takes, and how long it thinks.

Pure values and one clock: no Kubernetes, no Qdrant. What is written into docs/benchmarks.md is what was printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.placement.bounds import exact_optimum, flow_bound
from bench.placement.greedy import greedy
from bench.placement.layouts import EVENTS, SIZES, Size, told
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
BEGIN, END = "<!-- planner: begin -->", "<!-- planner: end -->"
SEEDS = (1, 2, 3)
EXACT_PEERS = 6
"""Up to here every placement is enumerated."""
QUICK_PEERS = 30
"""Up to here several seeds are tried."""


@dataclass(frozen=True, slots=True)
class Way:
    """What one way of going on makes of a layout."""

    moved: int
    """Bytes."""
    makespan: float
    """As a multiple of what its own transfers need at least within the budget."""
    quality: Quality


@dataclass(frozen=True, slots=True)
class Case:
    """One event on one size of cluster."""

    label: str
    event: str
    exact: bool
    """The optimum is the true one; otherwise a lower bound."""
    optimum: int
    """Bytes."""
    planned: int
    """Bytes in the whole plan, made in one go."""
    loop: Way | None
    """The loop, asked anew whenever transfers end; None where that takes too long."""
    greedy: Way


@dataclass(frozen=True, slots=True)
class Thought:
    """How long planning took, in milliseconds."""

    what: str
    count: int
    p50: float
    p99: float
    cpu_p50: float
    """CPU time of this process: what is left when nothing else runs on the machine."""
    cpu_p99: float


def measure(runs: int) -> str:
    """Measure everything; print as it comes; the text for the page."""
    print("planner: bytes moved and makespan", flush=True)
    cases = [_case(size, event) for size in SIZES for event in EVENTS]
    moved = moves_table(cases)
    print(moved, flush=True)
    size = SIZES[-1]
    print(f"\nplanner: thinking about {size.label} shards, {runs} times for each event", flush=True)
    thought = times_table([_think(size, event, runs) for event in EVENTS])
    print(thought, flush=True)
    return f"```text\n{moved}\n```\n\n```text\n{thought}\n```\n\nMachine: {machine_line()}.\n"


def write(text: str, page: Path = PAGE) -> Path:
    """Put the measured text between the page's marks."""
    before, rest = page.read_text().split(BEGIN)
    _, behind = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{behind}")
    return page


def machine_line() -> str:
    """Where the numbers come from, in words."""
    found = machine()
    return f"{found['cores']} cores, {found['machine']}, Python {found['python']}"


def _case(size: Size, event: str) -> Case:
    """The worst of several where that is quick: most bytes, and of equal ones the longest way."""
    seeds = SEEDS if size.peers <= QUICK_PEERS else SEEDS[:1]
    return max((_one(size, event, seed) for seed in seeds), key=_badness)


def _badness(case: Case) -> tuple[float, float]:
    return round(case.planned / case.optimum, 3), case.loop.makespan if case.loop else 0.0


def _one(size: Size, event: str, seed: int) -> Case:
    layout, policy = EVENTS[event](size, seed), Policy(per_cluster=size.per_cluster)
    steps = whole_plan(layout, policy).steps
    left = quality(layout, after(layout, steps))
    assert (left.missing, left.crowded) == (0, 0), f"the whole plan does not settle {size.label}: {left}"
    exact = len(layout.peers) <= EXACT_PEERS
    moved, placed = greedy(layout)
    return Case(
        label=size.label,
        event=told(event, size),
        exact=exact,
        optimum=exact_optimum(layout) if exact else flow_bound(layout),
        planned=total(transfers(steps)),
        loop=_loop(layout, policy) if size.runs else None,
        greedy=_way(moved, makespan(moved, policy), policy, quality(layout, placed)),
    )


def _loop(layout: Layout, policy: Policy) -> Way:
    found = run(layout, policy)
    return _way(found.moved, found.makespan, policy, quality(layout, holders(found.end)))


def _way(moved: Sequence[Transfer], span: int, policy: Policy, found: Quality) -> Way:
    return Way(total(moved), span / max(makespan_bound(moved, policy), 1), found)


def _think(size: Size, event: str, runs: int) -> tuple[Thought, Thought]:
    layout, policy = EVENTS[event](size, 1), Policy(per_cluster=size.per_cluster)
    return (
        _timed(f"{told(event, size)}: what starts now", lambda: plan_placement(layout, policy), runs),
        _timed(f"{told(event, size)}: to the end", lambda: whole_plan(layout, policy), runs),
    )


def _timed(what: str, work: Callable[[], object], runs: int) -> Thought:
    taken, used = [], []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        used.append((time.process_time() - cpu) * 1e3)
        taken.append((time.perf_counter() - began) * 1e3)
    return Thought(what, runs, *_cuts(taken), *_cuts(used))


def _cuts(values: Sequence[float]) -> tuple[float, float]:
    """The middle one, and the one that one of a hundred exceeds."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def moves_table(cases: Sequence[Case]) -> str:
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
    return aligned([head, *map(_row, cases)])


def _row(case: Case) -> Row:
    least = f"{'=' if case.exact else '>='} {case.optimum / 2**30:,.1f}"
    ways = (case.loop, case.greedy)
    return (
        case.label,
        case.event,
        least,
        f"{case.planned / case.optimum:.3f}",
        *(f"{way.moved / case.optimum:.3f}" if way else "-" for way in ways),
        *(f"{way.makespan:.3f}" if way else "-" for way in ways),
        *(_left(way.quality) if way else "-" for way in ways),
    )


def _left(found: Quality) -> str:
    """What is still wrong: replicas missing, counts too far apart, shards crowded into a zone."""
    return f"{found.missing}/{found.imbalance}/{found.crowded}"


def times_table(thoughts: Sequence[tuple[Thought, Thought]]) -> str:
    """Milliseconds."""
    rows: list[Row] = [("planning", "runs", "p50 ms", "p99 ms", "CPU p50", "CPU p99")]
    rows += [
        (one.what, str(one.count), *(f"{ms:.0f}" for ms in (one.p50, one.p99, one.cpu_p50, one.cpu_p99)))
        for pair in thoughts
        for one in pair
    ]
    return aligned(rows)
