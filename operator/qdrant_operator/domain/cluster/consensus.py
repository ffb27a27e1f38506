"""Peers whose consensus thread has stopped: they answer, serve reads, and apply no change any more. Pure."""

from __future__ import annotations

from qdrant_operator.domain.cluster.observed import Observed

SHOWN_CHARACTERS = 1024
"""Limit for all errors together."""


def stopped_consensus(observed: Observed) -> str:
    """Pods of these peers and their errors; empty when there is none.

    The consensus thread of a removed peer stops as expected.
    """
    leaving = observed.leaving.pod if observed.leaving else None
    return "; ".join(
        f"consensus has stopped on {pod}: {view.consensus_error or 'it gives no reason'}"
        for pod, view in sorted(observed.peers.items())
        if not view.consensus_working and pod != leaving
    )[:SHOWN_CHARACTERS]
