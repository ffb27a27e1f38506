"""Remembers that a change of consensus was requested a moment ago.

The peer that applied it shows it at once, the others some time later. A decision by the views of the others alone
would not know the last step. In memory only: a new operator assumes that the old one has just requested a change.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.steps import PurgePeerId, RemovePeer, Step
from qdrant_operator.domain.placement.steps import PlacementStep

SPREADS_WITHIN = timedelta(seconds=10)
"""How long Qdrant itself waits until a change is applied (1.19, `DEFAULT_META_OP_WAIT`)."""


class ChangeMemory:
    """Changes that were requested of one cluster's consensus."""

    def __init__(self) -> None:
        """Another operator may have requested a change until now."""
        self._asked = True
        self._since: datetime | None = None

    def asked(self, step: Step) -> None:
        """A step is sent now; it may remain without an answer."""
        self._asked = self._asked or isinstance(step, PlacementStep | RemovePeer | PurgePeerId)

    def just_changed(self, now: datetime) -> bool:
        """Whether the leader must answer before any other decision: from the first observation after a change."""
        if self._asked:
            self._asked, self._since = False, now
        return self._since is not None and now - self._since < SPREADS_WITHIN
