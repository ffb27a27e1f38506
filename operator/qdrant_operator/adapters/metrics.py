"""Prometheus metrics of the loop, and its `Reporter`.

Each instance has its own registry, so that two operators in one test process do not mix. The series of an object are
removed with the object, so that no alert fires for an object that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from qdrant_operator.adapters.backup_metrics import BackupMetrics, Objects
from qdrant_operator.adapters.kubernetes.events import Events
from qdrant_operator.domain.common.kinds import Kind, Manifest

_PASS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Every metric of the operator, and its registry."""

    def __init__(self) -> None:
        """Register everything in a registry of its own."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._blocked: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._backups = BackupMetrics()
        self.registry.register(self._backups)
        self._passes()
        self._facts()

    def _passes(self) -> None:
        self._duration = Histogram(
            "qdrant_operator_reconcile_duration_seconds",
            "Duration of one reconciliation of one object.",
            ["kind"],
            buckets=_PASS_SECONDS,
            registry=self.registry,
        )
        self._results = Counter(
            "qdrant_operator_reconcile",
            "Reconciliations by result.",
            ["kind", "result"],
            registry=self.registry,
        )
        self._steps = Counter(
            "qdrant_operator_steps",
            "Steps by name and outcome.",
            ["kind", "step", "outcome"],
            registry=self.registry,
        )
        self._calls = Histogram(
            "qdrant_operator_qdrant_call_duration_seconds",
            "Duration of one request to a peer.",
            ["operation", "outcome"],
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )

    def _facts(self) -> None:
        self._blocked_steps = Gauge(
            "qdrant_operator_blocked",
            "1 while the guard blocks a step of the object.",
            ["kind", "namespace", "name", "guard"],
            registry=self.registry,
        )
        self._leader = Gauge(
            "qdrant_operator_leader", "1 while this process holds the Lease.", registry=self.registry
        )

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Count a reconciliation of an object of `kind` with its `result` and its duration in seconds."""
        self._duration.labels(kind).observe(seconds)
        self._results.labels(kind, result).inc()

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count a step by its name and outcome."""
        self._steps.labels(kind, step, outcome).inc()

    def called(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a request to a peer with its outcome and its duration in seconds."""
        self._calls.labels(operation, outcome).observe(seconds)

    def blocked(self, kind: str, namespace: str, name: str, guards: Iterable[str]) -> None:
        """Set the guards that block steps of the object; series of other guards are removed."""
        subject = (kind, namespace, name)
        now = tuple(sorted(set(guards)))
        for guard in self._blocked.pop(subject, ()):
            if guard not in now:
                self._blocked_steps.remove(*subject, guard)
        for guard in now:
            self._blocked_steps.labels(*subject, guard).set(1)
        if now:
            self._blocked[subject] = now

    def on_change(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> None:
        """Listener of the store: removes the series of an object that is deleted."""
        if old is None or new is not None:
            return
        meta = old["metadata"]
        self.blocked(kind.kind, meta["namespace"], meta["name"], ())

    def leading(self, holder: bool) -> None:
        """Set whether this process holds the Lease."""
        self._leader.set(1 if holder else 0)

    def watch_ages(self, ages: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        """Serve the ages of the watches at each scrape: (kind, namespace) → seconds since the last message."""
        self.registry.register(_WatchAges(ages))

    def watch_backups(self, objects: Objects) -> None:
        """Serve metrics of backups at each scrape, computed from the objects that `objects` returns."""
        self._backups.objects = objects

    def page(self) -> bytes:
        """The metrics page in Prometheus' text format."""
        return generate_latest(self.registry)


class _WatchAges(Collector):
    def __init__(self, ages: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        self._ages = ages

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "qdrant_operator_watch_age_seconds",
            "Seconds since the last message of the watch of a kind, bookmarks included.",
            labels=["kind", "namespace"],
        )
        for labels, seconds in self._ages().items():
            family.add_metric(labels, seconds)
        return [family]


class ClusterReporter:
    """Implements `reconcile.ports.Reporter` with Events and metrics."""

    def __init__(self, metrics: Metrics, events: Events) -> None:
        """Report to both."""
        self._metrics = metrics
        self._events = events

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Write a Kubernetes Event (`kind` Normal or Warning); a repeated one is counted in its series."""
        await self._events.emit(about, kind=kind, reason=reason, message=message)

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count a step by its name and outcome (done, started, failed)."""
        self._metrics.step(kind, step, outcome)

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Report the guards that block steps now (empty: none)."""
        self._metrics.blocked(kind, namespace, name, guards)
