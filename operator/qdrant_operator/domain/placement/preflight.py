"""Check a planned step against freshly read views, just before it is sent.

Pure. A plan may be older than the last write of another client; a step that passes these checks is right on the
newest views there are. An empty answer means that the step may be sent.
"""

from __future__ import annotations

from qdrant_operator.domain.common.text import counted
from qdrant_operator.domain.placement.model import Layout, Shard
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica, MoveShard, PlacementStep
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId


def why_not(step: PlacementStep, layout: Layout) -> str:
    """Why a placement step must not be sent now; empty: it may."""
    if layout.unsettled:
        return layout.unsettled
    if isinstance(step, AbortTransfer):
        listed = {(t.ref, t.source, t.target) for t in layout.transfers}
        return "" if (step.shard, step.source, step.target) in listed else "the transfer has ended"
    shard = find(layout, step.shard)
    if shard is None:
        return "no peer lists the shard any more"
    if isinstance(step, DropReplica):
        return _why_not_drop(step, shard, layout)
    return _why_not_copy(step.source, step.target, shard, layout) or (
        shard.disputed if isinstance(step, MoveShard) else ""
    )


def find(layout: Layout, ref: ShardRef) -> Shard | None:
    """The shard with this name."""
    return next((shard for shard in layout.shards if shard.ref == ref), None)


def _why_not_copy(source: PeerId, target: PeerId, shard: Shard, layout: Layout) -> str:
    if source not in shard.sound:
        return f"the replica on peer {source} is not sound"
    if target in shard.holders:
        return f"peer {target} already holds the shard"
    if not any(peer.id == target and peer.answers for peer in layout.peers):
        return f"peer {target} does not answer"
    ends = {source, target}
    busy = any(t.ref == shard.ref and ends & {t.source, t.target} for t in layout.transfers)
    return "another transfer of the shard is running" if busy else ""


def _why_not_drop(step: DropReplica, shard: Shard, layout: Layout) -> str:
    if shard.disputed:
        return shard.disputed
    if step.peer not in shard.holders:
        return f"peer {step.peer} holds no replica any more"
    if any(t.ref == shard.ref for t in layout.transfers):
        return "a transfer of the shard is running"
    rest = shard.sound - {step.peer}
    if not rest or len(rest) < min(shard.factor, len(shard.sound)):
        return f"only {counted(len(rest), 'sound replica')} would remain"
    return ""


def held(layout: Layout, peer: PeerId) -> tuple[str, ...]:
    """Shards that any view puts on a peer, now or when a running transfer ends."""
    held_now = {shard.label for shard in layout.shards if peer in shard.holders}
    moving = {f"{t.collection}/{t.shard}" for t in layout.transfers if peer in (t.source, t.target)}
    return tuple(sorted(held_now | moving))


def lost_with(layout: Layout, peer: PeerId) -> tuple[str, ...]:
    """Shards that have no sound replica without this peer's."""
    held_there = [shard for shard in layout.shards if peer in shard.holders]
    return tuple(shard.label for shard in held_there if not shard.sound - {peer})
