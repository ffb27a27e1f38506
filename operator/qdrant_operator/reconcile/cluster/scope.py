"""The context in which a step is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.reconcile.ports import Endpoint


@dataclass(frozen=True, slots=True)
class Scope:
    """Desired and observed state when the step was planned, and how to reach the peers."""

    desired: DesiredCluster
    observed: Observed
    endpoints: Mapping[str, Endpoint]
    """By name of the pod."""
