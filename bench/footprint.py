"""What the operator's process costs with one cluster and with many: memory, CPU, time until all are Ready."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.audit import requests, writes
from bench.installed import SIMULATED, Installed, installed
from bench.processes import Usage, children, usage
from tests.integration.support.operator import Operator

PASSES_METRIC = "qdrant_operator_reconcile_duration_seconds"
NODE, API_SERVER = "sandbox.node", "kube-apiserver"
PER_NAMESPACE = 10
READY_SECONDS = 900.0
QUIET_SECONDS = 10.0
SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Idle:
    """What happens while nobody wants anything."""

    seconds: float
    operator_cpu: float
    """Share of one core, 0.01 is one hundredth of it."""
    node_cpu: float
    """The process that hosts all simulated peers and runs all pods."""
    api_server_cpu: float
    writes: int
    """Requests of the operator that change something."""
    reads: int
    """Its other requests, watches included."""
    passes: float
    """Passes of all loops, for each second."""
    pass_ms: float
    """Time of a pass by the operator's own metrics, mean; the peers' answers are in it."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The operator with so many clusters of three simulated peers."""

    clusters: int
    ready_seconds: float
    """From the first `create` until all of them are Ready."""
    forming_cpu_seconds: float
    """CPU time of the operator within that time."""
    forming_node_cpu_seconds: float
    """CPU time of the node's process within that time."""
    rss_mib: float
    """Resident memory of the operator at the end of the idle time."""
    peak_mib: float
    idle: Idle


@dataclass(frozen=True, slots=True)
class Growth:
    """One operator, first alone, then with one cluster and with many."""

    alone: Usage
    few: Footprint
    many: Footprint

    @property
    def mib_per_cluster(self) -> float:
        """Memory that one more cluster takes."""
        return (self.many.rss_mib - self.few.rss_mib) / (self.many.clusters - self.few.clusters)


def measure(clusters: int, idle_seconds: float) -> Growth:
    """One operator with 1 and then with `clusters` clusters."""
    with installed(SIMULATED) as place:
        operator = place.operator()
        operator.start()
        try:
            _settle(place)
            alone = usage(operator.pid)
            few = _grow(place, operator, 0, 1, idle_seconds)
            many = _grow(place, operator, 1, clusters, idle_seconds)
        finally:
            operator.stop()
        return Growth(alone, few, many)


def _grow(place: Installed, operator: Operator, present: int, wanted: int, idle_seconds: float) -> Footprint:
    """Add clusters to those that are there, and measure when all are Ready."""
    spaces = [f"bench-{number}" for number in range((wanted + PER_NAMESPACE - 1) // PER_NAMESPACE)]
    for space in spaces[(present + PER_NAMESPACE - 1) // PER_NAMESPACE :]:
        place.namespace(space)
    pid, node = operator.pid, children()[NODE]
    before, node_before, began = usage(pid), usage(node), time.monotonic()
    for number in range(present, wanted):
        place.create(spaces[number // PER_NAMESPACE], f"vectors-{number}")
    place.wait_ready(spaces, wanted, READY_SECONDS)
    took, formed, node_formed = time.monotonic() - began, usage(pid), usage(node)
    _settle(place)
    idle = _idle(place, operator, idle_seconds)
    assert place.ready(spaces) == wanted, "a cluster ceased to be Ready while nobody touched it"
    after = usage(pid)
    return Footprint(
        clusters=wanted,
        ready_seconds=took,
        forming_cpu_seconds=formed.cpu_seconds - before.cpu_seconds,
        forming_node_cpu_seconds=node_formed.cpu_seconds - node_before.cpu_seconds,
        rss_mib=after.rss_mib,
        peak_mib=after.peak_mib,
        idle=idle,
    )


def _idle(place: Installed, operator: Operator, seconds: float) -> Idle:
    watched = [operator.pid, children()[NODE], children()[API_SERVER]]
    passes = _passes(operator)
    mark, began = place.audit_log.stat().st_size, time.monotonic()
    before = [usage(one).cpu_seconds for one in watched]
    time.sleep(seconds)
    took = time.monotonic() - began
    used = [usage(one).cpu_seconds - then for one, then in zip(watched, before, strict=True)]
    own, node, api_server = (one / took for one in used)
    counted = requests(place.audit_log, mark)
    changing = writes(counted)
    count, busy = (now - then for now, then in zip(_passes(operator), passes, strict=True))
    reads = counted.total() - changing
    return Idle(took, own, node, api_server, changing, reads, count / took, busy / max(count, 1) * 1e3)


def _passes(operator: Operator) -> tuple[float, float]:
    """Passes so far, and the seconds they took together, of all kinds."""
    lines = [line for line in operator.metrics().splitlines() if line.startswith(PASSES_METRIC)]
    totals = {
        end: [float(line.split()[-1]) for line in lines if f"_{end}{{" in line] for end in ("count", "sum")
    }
    return sum(totals["count"]), sum(totals["sum"])


def _settle(place: Installed) -> None:
    """Until the operator has written nothing for a while: Ready comes before the last words of a formation."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        mark = place.audit_log.stat().st_size
        time.sleep(QUIET_SECONDS)
        if not place.writes_since(mark) or time.monotonic() > deadline:
            return
