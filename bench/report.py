"""Results as a small table for people and as JSON for machines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.footprint import Footprint, Growth
from bench.passes import Passes, Times
from bench.table import Row, aligned, machine

RESULTS = Path(__file__).parent / "results"


_FACTS: dict[str, Callable[[Footprint], float]] = {
    "seconds until all are Ready": lambda one: one.ready_seconds,
    "CPU seconds until then": lambda one: one.forming_cpu_seconds,
    "  the node's until then": lambda one: one.forming_node_cpu_seconds,
    "memory, MiB": lambda one: one.rss_mib,
    "memory at its peak, MiB": lambda one: one.peak_mib,
    "idle CPU, % of a core": lambda one: one.idle.operator_cpu * 100,
    "  the node's, idle": lambda one: one.idle.node_cpu * 100,
    "  the API server's, idle": lambda one: one.idle.api_server_cpu * 100,
    "writes while idle": lambda one: float(one.idle.writes),
    "passes a second, idle": lambda one: one.idle.passes,
    "mean pass, idle, ms": lambda one: one.idle.pass_ms,
    "reads while idle": lambda one: float(one.idle.reads),
}


def write(passes: list[Passes], growth: Growth | None, folder: Path = RESULTS) -> Path:
    """Write one file with everything that was measured."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "load": os.getloadavg()[0],
        "passes": [asdict(one) for one in passes],
        "footprint": asdict(growth) if growth else None,
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def pass_table(passes: list[Passes]) -> str:
    """Times in milliseconds, and each as a multiple of the first row's whole pass."""
    base = passes[0].whole.p50
    rows: list[Row] = [("peers", "collections", "what", "p50 ms", "p99 ms", "CPU ms", "p50 ratio")]
    for one in passes:
        parts = {"pass": one.whole, "look": one.look, "compare": one.compare, "plan": one.plan}
        rows += [(one.peers, str(one.collections), name, *_times(part, base)) for name, part in parts.items()]
    return aligned(rows)


def growth_table(growth: Growth) -> str:
    """The operator with one cluster, with many, and many as a multiple of one."""
    few, many = growth.few, growth.many
    rows: list[Row] = [("operator", *(f"{one.clusters} clusters" for one in (few, many)), "ratio")]
    for name, get in _FACTS.items():
        ratio = f"{get(many) / get(few):.1f}" if get(few) else "-"
        rows.append((name, f"{get(few):.2f}", f"{get(many):.2f}", ratio))
    more = (
        f"{growth.alone.rss_mib:.0f} MiB without clusters, {growth.mib_per_cluster * 1024:.0f} KiB for each"
    )
    return f"{aligned(rows)}\n{more}"


def _times(times: Times, base: float) -> Row:
    return (f"{times.p50:.3f}", f"{times.p99:.3f}", f"{times.cpu:.3f}", f"{times.p50 / base:.3f}")
