"""Remembers that consensus was asked for a change a moment ago.

Whoever carried it out shows it at once, the others some time later. Decided on the word of the others alone, the next
step would not know the last one. In memory only: a new operator takes it that the old one has just asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.steps import PurgePeerId, RemovePeer, Step
from qdrant_operator.domain.placement.steps import PlacementStep

SPREADS_WITHIN = timedelta(seconds=10)
"""So long Qdrant itself waits for a change to be carried out (1.19, `DEFAULT_META_OP_WAIT`)."""


class ChangeMemory:
    """Changes that were asked of one cluster's consensus."""

    def __init__(self) -> None:
        """Somebody else may have asked until now."""
        self._asked = True
        self._since: datetime | None = None

    def asked(self, step: Step) -> None:
        """A step is sent now; whether it will be answered is not known."""
        self._asked = self._asked or isinstance(step, PlacementStep | RemovePeer | PurgePeerId)

    def just_changed(self, now: datetime) -> bool:
        """Whether the leader must be heard before anything else is decided: from the first look after a change."""
        if self._asked:
            self._asked, self._since = False, now
        return self._since is not None and now - self._since < SPREADS_WITHIN
