"""What the loop remembers of one cluster from look to look. Losing it costs time, never safety."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Disruptions, Observed
from qdrant_operator.domain.cluster.pods.disruptions import safe_disruptions
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.reconcile.ages import AgeTracker
from qdrant_operator.reconcile.cluster.memory.changes import ChangeMemory
from qdrant_operator.reconcile.cluster.memory.held_up_pods import HeldUpPods
from qdrant_operator.reconcile.cluster.memory.pods import PodMemory
from qdrant_operator.reconcile.cluster.memory.repeats import RepeatMemory
from qdrant_operator.reconcile.cluster.memory.returns import ReturnMemory
from qdrant_operator.reconcile.cluster.memory.rivals import ContestMemory
from qdrant_operator.reconcile.cluster.memory.service import ServiceMemory
from qdrant_operator.reconcile.cluster.memory.transfers import Target, TransferMemory

KEPT = timedelta(minutes=10)
"""A cluster that had no pass for so long is gone: each has one every two minutes at least."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What earlier looks have to say about this one."""

    waits: frozenset[Target] = frozenset()
    """Targets of transfers that shall not be tried again yet."""
    stale: frozenset[Target] = frozenset()
    """Dead replicas that nobody will heal."""
    just_left: frozenset[str] = frozenset()
    """Pods that left the client Service a moment ago."""
    just_back: frozenset[str] = frozenset()
    """Pods that became ready a moment ago."""
    just_changed: bool = False
    """Consensus was asked for a change a moment ago."""
    overdue: tuple[int, ...] = ()
    """Ordinals of pods that nobody has made for a while."""
    steady: timedelta = timedelta()
    """For how long the same disruptions have been safe."""

    def added_to(self, observed: Observed) -> Observed:
        """What is seen now, with what is remembered."""
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
    """Changes and transfers that were begun; pods that left the client Service, that came back, that are missing."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._transfers, self._service = TransferMemory(), ServiceMemory()
        self._pods, self._returns = PodMemory(), ReturnMemory()
        self._changes = ChangeMemory()
        self._safe: AgeTracker[Disruptions] = AgeTracker()
        self.repeats = RepeatMemory()
        self.held_up = HeldUpPods()
        self.contests = ContestMemory()
        """Objects that do not stay as they are applied."""

    def asked(self, step: Step) -> None:
        """A step is sent now."""
        self._changes.asked(step)

    def begun(self, step: Step) -> None:
        """A step was carried out."""
        self._transfers.begun(step)
        self._pods.begun(step)

    def recall(self, observed: Observed, now: datetime) -> Remembered:
        """Take in what is seen now, and say what is remembered."""
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
    """The memory of each cluster; it ends some time after the cluster's last pass, however the cluster vanished."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._known: dict[str, tuple[datetime, Memory]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, uid: str, now: datetime) -> Memory:
        """What is remembered of this QdrantCluster."""
        _, memory = self._known.get(uid, (now, None))
        self._known = {other: one for other, one in self._known.items() if now - one[0] < KEPT}
        self._known[uid] = (now, memory or Memory())
        return self._known[uid][1]

    def forget(self, uid: str) -> None:
        """The QdrantCluster is being deleted."""
        self._known.pop(uid, None)
