"""Whether a peer may be removed from consensus. The plan and the re-check just before the request both use it.

Pure. An empty answer permits the removal.
"""

from __future__ import annotations

from qdrant_operator.domain.cluster.steps import RemovePeer
from qdrant_operator.domain.placement.model import Layout
from qdrant_operator.domain.placement.preflight import held, lost_with


def why_not_remove(step: RemovePeer, layout: Layout) -> str:
    """Why a peer must not be removed from consensus now; empty: it may."""
    others = [peer for peer in layout.peers if peer.id != step.peer]
    answering = [peer for peer in others if peer.answers]
    if layout.unsettled:
        return layout.unsettled
    if not others:
        return f"peer {step.peer} is the only peer"
    if len(answering) * 2 <= len(others):
        return f"without peer {step.peer} only {len(answering)} of {len(others)} peers answer"
    if step.force:
        lost = lost_with(layout, step.peer)
        return f"no other peer has a sound replica of {', '.join(lost)}" if lost else ""
    silent = [peer.pod for peer in others if not peer.answers]
    if silent:
        return f"{', '.join(silent)} does not answer and may know of shards on peer {step.peer}"
    here = held(layout, step.peer)
    return f"peer {step.peer} holds {', '.join(here)}" if here else ""
