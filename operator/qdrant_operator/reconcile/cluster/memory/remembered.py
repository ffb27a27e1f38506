"""What the loop remembers of one cluster between observations. Losing it costs time, never safety."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Disruptions, Observed
from qdrant_operator.domain.cluster.pods.disruptions import safe_disruptions
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.reconcile.ages import AgeTracker
from qdrant_operator.reconcile.cluster.memory.changes import ChangeMemory
from qdrant_operator.reconcile.cluster.memory.pods import PodMemory
from qdrant_operator.reconcile.cluster.memory.repeats import RepeatMemory
from qdrant_operator.reconcile.cluster.memory.returns import ReturnMemory
from qdrant_operator.reconcile.cluster.memory.rivals import ContestMemory
from qdrant_operator.reconcile.cluster.memory.service import ServiceMemory
from qdrant_operator.reconcile.cluster.memory.stuck_pods import StuckPods
from qdrant_operator.reconcile.cluster.memory.transfers import Target, TransferMemory

KEPT = timedelta(minutes=10)
"""A cluster without a pass for this long was deleted: each has a pass at least every two minutes."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of earlier observations."""

    waits: frozenset[Target] = frozenset()
    """Targets of transfers that must not be retried yet."""
    stale: frozenset[Target] = frozenset()
    """Dead replicas that no peer recovers."""
    just_left: frozenset[str] = frozenset()
    """Pods that left the client Service a moment ago."""
    just_back: frozenset[str] = frozenset()
    """Pods that became ready a moment ago."""
    just_changed: bool = False
    """A change of consensus was requested a moment ago."""
    overdue: tuple[int, ...] = ()
    """Ordinals of pods that have been missing for a while."""
    steady: timedelta = timedelta()
    """For how long the same disruptions have been safe."""

    def added_to(self, observed: Observed) -> Observed:
        """The observation with what is remembered."""
        return replace(
            observed,
            waits=self.waits,
            stale=self.stale,
            just_left=self.just_left,
            just_back=self.just_back,
            just_changed=self.just_changed,
            overdue=self.overdue,
            steady=self.steady,
        )


class Memory:
    """Requested changes and transfers; pods that left the client Service, came back or are missing."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._transfers, self._service = TransferMemory(), ServiceMemory()
        self._pods, self._returns = PodMemory(), ReturnMemory()
        self._changes = ChangeMemory()
        self._safe: AgeTracker[Disruptions] = AgeTracker()
        self.repeats = RepeatMemory()
        self.stuck_pods = StuckPods()
        self.contests = ContestMemory()
        """Objects that other writers change after each apply."""

    def asked(self, step: Step) -> None:
        """A step is sent now."""
        self._changes.asked(step)

    def begun(self, step: Step) -> None:
        """A step was carried out."""
        self._transfers.begun(step)
        self._pods.begun(step)

    def recall(self, observed: Observed, now: datetime) -> Remembered:
        """Remember this observation, and return what is remembered."""
        found = Remembered(
            self._transfers.waits(observed.views, now),
            self._transfers.stale(observed.views, now),
            self._service.just_left(observed.pods, observed.listed, now),
            self._returns.just_back(observed.pods, now),
            self._changes.just_changed(now),
            self._pods.overdue(observed, now),
        )
        safe = safe_disruptions(found.added_to(observed))
        return replace(found, steady=self._safe.ages([safe], now)[safe])


class Memories:
    """The memory of each cluster; it expires some time after the cluster's last pass, also without a deletion."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._known: dict[str, tuple[datetime, Memory]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, uid: str, now: datetime) -> Memory:
        """What is remembered of this QdrantCluster."""
        _, memory = self._known.get(uid, (now, None))
        recent = {other: entry for other, entry in self._known.items() if now - entry[0] < KEPT}
        memory = memory or Memory()
        self._known = {**recent, uid: (now, memory)}
        return memory

    def forget(self, uid: str) -> None:
        """The QdrantCluster is being deleted."""
        self._known.pop(uid, None)
