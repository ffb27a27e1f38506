"""What follows from one observation of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Drift, MarkVolume, Observed, Obsolete
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster


@dataclass(frozen=True, slots=True)
class Changes:
    """Objects that differ from the desired state."""

    drift: tuple[Drift, ...] = ()
    """To be applied."""
    paused: tuple[Drift, ...] = ()
    """Contested by another writer: applied again after a pause."""
    obsolete: tuple[Obsolete, ...] = ()
    unmarked: tuple[MarkVolume, ...] = ()
    """Volume claims that lack a mark."""


NO_CHANGES = Changes()


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from one observation."""

    desired: DesiredCluster
    observed: Observed
    """The observation, with up-to-date records of peers and volumes."""
    changes: Changes
    plan: ClusterPlan
    highest_version: str | None = None
    """The highest release that ever ran, by all evidence."""
