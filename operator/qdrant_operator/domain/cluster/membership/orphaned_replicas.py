"""Shards that are placed on a peer id which is no member: nobody answers for them, and nobody else clears the id.

Qdrant replaces an empty member by itself when another peer joins under its URI; a collection that is created at
that moment is still placed on the old id. Operations on replicas refuse an id that is no member, but its removal
by force clears it from all tables. An id that is no member can never answer again: where each shard that names it
has a sound replica elsewhere nothing goes with it, and nobody need consent.
"""

from __future__ import annotations

from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.steps import ClusterPlan, PurgePeerId
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked, Plan
from qdrant_operator.domain.placement.model import Layout, Shard
from qdrant_operator.domain.placement.preflight import lost_with
from qdrant_operator.domain.qdrant.views import PeerId


def plan_strays(observed: Observed, layout: Layout) -> ClusterPlan:
    """Clear an id that is no member from the shard tables, or say what that waits for."""
    steps: list[PurgePeerId] = []
    blocked: list[Blocked] = []
    for peer in sorted(strays(observed)):
        step, wait = PurgePeerId(peer), _hindrance(peer, layout)
        if wait:
            blocked.append(Blocked(str(step), *wait))
        else:
            steps.append(step)
    return Plan(tuple(steps[:1]), tuple(blocked))


def strays(observed: Observed) -> frozenset[PeerId]:
    """Ids on which the leader places shards and that no view calls a member; without a leader, on which anybody does.

    The leader knows first that an id was cleared; others may name it for seconds after that.
    """
    views = list(observed.peers.values())
    leader = observed.pod_of(observed.leader)
    tellers = [observed.peers[leader]] if leader else views
    known = {peer for view in views for peer in (view.peer, *view.peers)}
    shards = (shard for view in tellers for collection in view.collections for shard in collection.shards)
    return frozenset(peer for shard in shards for peer in shard.states if peer not in known)


def why_not_forget(peer: PeerId, observed: Observed, layout: Layout) -> str:
    """Why an id must not be cleared from the shard tables now; empty: it may."""
    if peer not in strays(observed):
        return "it is a member, or no shard is on it any more"
    wait = _hindrance(peer, layout)
    return wait[1] if wait else ""


def _hindrance(peer: PeerId, layout: Layout) -> tuple[ClusterGuard, str] | None:
    if layout.unsettled:
        return ClusterGuard.CONSENSUS_UNSETTLED, f"{layout.unsettled}: waiting"
    silent = [one.pod for one in layout.peers if not one.answers]
    if silent:
        return (
            ClusterGuard.PEERS_UNREACHABLE,
            f"{', '.join(silent)} does not answer, and may know more of peer {peer}",
        )
    bare = set(lost_with(layout, peer))
    if not bare:
        return None
    members = {one.id for one in layout.peers}
    alone = [shard for shard in layout.shards if shard.label in bare and not shard.holders & members]
    if alone:
        return ClusterGuard.ORPHANED_REPLICA, _given_up(peer, alone)
    text = f"{', '.join(sorted(bare))} has no sound replica elsewhere yet: peer {peer} is cleared when it has"
    return ClusterGuard.REPLICA_NOT_SOUND, text


def _given_up(peer: PeerId, alone: list[Shard]) -> str:
    """A shard that no member holds cannot be read, written, moved or dropped."""
    collections = sorted({shard.collection for shard in alone})
    ways = " and ".join(f"DELETE /collections/{name}" for name in collections)
    return (
        f"peer {peer} is no member and can never answer again, and {', '.join(shard.label for shard in alone)} "
        f"is on no other peer: it cannot be used, and what it held is out of reach; first save what other shards hold, "
        f"if you need it (POST /collections/{collections[0]}/shards/<number>/snapshots), then delete "
        f"{', '.join(collections)} in Qdrant ({ways} on any peer); a QdrantCollection makes it anew, empty"
    )
