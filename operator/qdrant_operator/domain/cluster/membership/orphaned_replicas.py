"""Orphaned replicas: shards on a peer id that is not in the cluster. Only the operator purges the id.

Qdrant replaces an empty peer by itself when another one joins under its URI; a collection that is created at that
moment is still placed on the old id. Operations on replicas refuse an id that is not in the cluster, but its removal
by force clears it from all tables. Such an id can never answer again: where each shard that names it has a sound
replica on another peer, the purge loses nothing and needs no consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.steps import ClusterPlan, PurgePeerId
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.placement.model import Layout, Shard
from qdrant_operator.domain.placement.preflight import lost_with
from qdrant_operator.domain.qdrant.views import PeerId, PeerView, ShardView


def plan_orphaned_replicas(observed: Observed, layout: Layout) -> ClusterPlan:
    """Purge an id that is not in the cluster from the shard tables, or say what blocks that."""
    steps: list[PurgePeerId] = []
    blocked: list[Blocked] = []
    for peer in sorted(orphaned_ids(observed)):
        step, wait = PurgePeerId(peer), _hindrance(peer, layout)
        if wait:
            blocked.append(Blocked(str(step), *wait))
        else:
            steps.append(step)
    return Plan(tuple(steps[:1]), tuple(blocked))


def orphaned_ids(observed: Observed) -> frozenset[PeerId]:
    """Ids on which the leader places shards and that no view lists as a peer; without a leader, on which any peer does.

    The leader applies a purge first; other peers may name the id for seconds after that.
    """
    views = list(observed.peers.values())
    leader = observed.pod_of(observed.leader)
    sources = [observed.peers[leader]] if leader else views
    known = {peer for view in views for peer in (view.peer, *view.peers)}
    shards = _shards(sources)
    return frozenset(peer for shard in shards for peer in shard.states if peer not in known)


def _shards(views: Iterable[PeerView]) -> Iterator[ShardView]:
    for view in views:
        for collection in view.collections:
            yield from collection.shards


def why_not_purge(peer: PeerId, observed: Observed, layout: Layout) -> str:
    """Why an id must not be purged from the shard tables now; empty: it may."""
    if peer not in orphaned_ids(observed):
        return "it is in the cluster, or no shard is on it any more"
    wait = _hindrance(peer, layout)
    return wait[1] if wait else ""


def _hindrance(peer: PeerId, layout: Layout) -> tuple[ClusterGuard, str] | None:
    if layout.unsettled:
        return ClusterGuard.CONSENSUS_UNSETTLED, f"{layout.unsettled}: waiting"
    silent = [other.pod for other in layout.peers if not other.answers]
    if silent:
        return (
            ClusterGuard.PEERS_UNREACHABLE,
            f"{', '.join(silent)} does not answer and may know more of peer {peer}",
        )
    bare = set(lost_with(layout, peer))
    if not bare:
        return None
    known = {other.id for other in layout.peers}
    alone = [shard for shard in layout.shards if shard.label in bare and not shard.holders & known]
    if alone:
        return ClusterGuard.ORPHANED_REPLICA, _lost_shards(peer, alone)
    shards = ", ".join(sorted(bare))
    text = f"{shards} has no sound replica on another peer yet: waiting before peer id {peer} is purged"
    return ClusterGuard.REPLICA_NOT_SOUND, text


def _lost_shards(peer: PeerId, alone: list[Shard]) -> str:
    """A shard that no peer of the cluster holds cannot be read, written, moved or dropped."""
    collections = sorted({shard.collection for shard in alone})
    shards = ", ".join(shard.label for shard in alone)
    ways = " and ".join(f"DELETE /collections/{name}" for name in collections)
    return (
        f"peer {peer} is not in the cluster and can never answer again, and {shards} is on no other peer: it cannot be "
        "used and its points cannot be reached; first save what other shards hold, if you need it "
        f"(POST /collections/{collections[0]}/shards/<number>/snapshots), then delete {', '.join(collections)} in "
        f"Qdrant ({ways} on any peer); its QdrantCollection creates it again, empty"
    )
