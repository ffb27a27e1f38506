"""Metrics: what the loop did and what holds it back, for Prometheus, and the loop's `Reporter`.

One registry per instance, none global: two operators in one test process do not mix. A series is removed when
what it tells of is gone, so that no alert fires for a ghost.
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
            "Time of one pass over one object.",
            ["kind"],
            buckets=_PASS_SECONDS,
            registry=self.registry,
        )
        self._results = Counter(
            "qdrant_operator_reconcile", "Passes by result.", ["kind", "result"], registry=self.registry
        )
        self._steps = Counter(
            "qdrant_operator_steps",
            "Steps by name and outcome.",
            ["kind", "step", "outcome"],
            registry=self.registry,
        )
        self._calls = Histogram(
            "qdrant_operator_qdrant_call_duration_seconds",
            "Time of one request to a peer.",
            ["operation", "outcome"],
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )

    def _facts(self) -> None:
        self._holds = Gauge(
            "qdrant_operator_blocked",
            "1 while the guard holds a step of the object back.",
            ["kind", "namespace", "name", "guard"],
            registry=self.registry,
        )
        self._leader = Gauge(
            "qdrant_operator_leader", "1 while this process holds the lease.", registry=self.registry
        )

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Count a pass over an object of `kind` that ended with `result` and took this many seconds."""
        self._duration.labels(kind).observe(seconds)
        self._results.labels(kind, result).inc()

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count a step by its name and outcome."""
        self._steps.labels(kind, step, outcome).inc()

    def called(self, operation: str, outcome: str, seconds: float) -> None:
        """Observe one request to a peer."""
        self._calls.labels(operation, outcome).observe(seconds)

    def blocked(self, kind: str, namespace: str, name: str, guards: Iterable[str]) -> None:
        """Show exactly these guards for the object; those of the last time are removed."""
        subject = (kind, namespace, name)
        now = tuple(sorted(set(guards)))
        for guard in self._blocked.pop(subject, ()):
            if guard not in now:
                self._holds.remove(*subject, guard)
        for guard in now:
            self._holds.labels(*subject, guard).set(1)
        if now:
            self._blocked[subject] = now

    def on_change(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> None:
        """Listen to the store: what tells of an object ends with the object."""
        if old is None or new is not None:
            return
        meta = old["metadata"]
        self.blocked(kind.kind, meta["namespace"], meta["name"], ())

    def leading(self, holder: bool) -> None:
        """Tell whether this process holds the lease."""
        self._leader.set(1 if holder else 0)

    def watch_ages(self, ages: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        """Report at each scrape what `ages` says: (kind, namespace) → seconds since its watch spoke."""
        self.registry.register(_WatchAges(ages))

    def watch_backups(self, objects: Objects) -> None:
        """Report at each scrape what the objects that `objects` gives say of backups."""
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
            "Seconds since the watch of a kind last said anything, bookmarks included.",
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
        """Emit a Kubernetes Event (`kind` Normal or Warning), folded when it repeats."""
        await self._events.emit(about, kind=kind, reason=reason, message=message)

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Count a step by its name and outcome (done, started, failed)."""
        self._metrics.step(kind, step, outcome)

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Tell which guards hold something back now (empty: none)."""
        self._metrics.blocked(kind, namespace, name, guards)
