"""A grey collection: Qdrant has optimizations to do and begins none before the next write.

Qdrant leaves a collection so after a start, so that one that crashes while it optimizes comes up all the same. Any
update of its optimizers' settings begins them, an empty one too; that is Qdrant's documented remedy.
"""

from __future__ import annotations

from qdrant_operator.domain.collection.observed import Desired, Live, Observed
from qdrant_operator.domain.collection.steps import CollectionPlan, StartOptimizations

GREY = "grey"


def optimizations_to_start(
    desired: Desired, observed: Observed, planned: CollectionPlan
) -> StartOptimizations | None:
    """The call that begins them, once nothing else is to be done or waits; only for a collection that is ours."""
    live = observed.collection
    if planned.steps or planned.blocked or desired.paused or desired.leaving or not isinstance(live, Live):
        return None
    ours = live.owner == desired.owner
    return StartOptimizations(desired.name) if ours and live.status == GREY else None


def is_settled(observed: Observed) -> bool:
    """Whether the collection has nothing left to optimize."""
    return isinstance(observed.collection, Live) and observed.collection.status == "green"
