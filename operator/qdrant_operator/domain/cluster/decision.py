"""What follows from one look at a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Drift, MarkVolume, Observed, Obsolete
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster


@dataclass(frozen=True, slots=True)
class Changes:
    """Objects that are not as they are wanted."""

    drift: tuple[Drift, ...] = ()
    """To be applied."""
    paused: tuple[Drift, ...] = ()
    """Contested: applied again after a pause."""
    obsolete: tuple[Obsolete, ...] = ()
    unmarked: tuple[MarkVolume, ...] = ()
    """Volume claims that lack a mark."""


NO_CHANGES = Changes()


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from one look."""

    desired: DesiredCluster
    observed: Observed
    """The look, with records of peers and volumes that are up to date."""
    changes: Changes
    plan: ClusterPlan
    highest_version: str | None = None
    """The highest release that ever ran, as far as any evidence tells."""
