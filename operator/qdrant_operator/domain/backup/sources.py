"""From which replica each shard is taken, and whether that replica can still be trusted.

A backup is one snapshot per shard, each from one sound replica. What a replica lacks is known only to consensus:
a write is acknowledged once the replica that missed it is Dead there. So a look counts only when a majority of
the peers answers; a peer that came back alone still believes itself Active.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qdrant_operator.domain.qdrant.soundness import ShardRef, answering, sound_replicas
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    PeerId,
    PeerView,
    ReplicaState,
    ShardId,
    ShardKey,
    ShardView,
    View,
)


@dataclass(frozen=True, slots=True)
class Source:
    """One shard to be saved, and the peer to take it from."""

    collection: str
    shard: ShardId
    key: ShardKey | None
    peer: PeerId
    points: int
    bytes: int
    """Vectors and payloads; the file will be of another size."""

    @property
    def label(self) -> str:
        """The shard as users read it: collection/shard."""
        return f"{self.collection}/{self.shard}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where the shards of a backup can be taken from now."""

    sources: tuple[Source, ...]
    """Ordered by collection and shard."""
    unavailable: Mapping[ShardRef, str]
    """Shards that can be read from nowhere now, and why."""


def plan_sources(
    views: Sequence[View], collections: Iterable[str], saved: frozenset[ShardRef] = frozenset()
) -> Choice:
    """For every shard that is not saved yet one sound replica, spread so that peers give about the same bytes.

    Large shards are given out first, each to the least burdened of its sound holders. The result depends on
    nothing but its arguments.
    """
    wanted = frozenset(collections)
    refs = [ref for ref in sorted(sound_replicas(views)) if ref[0] in wanted and ref not in saved]
    lack, cluster = without_majority(views), same_cluster(views)
    if lack:
        return Choice((), dict.fromkeys(refs, lack))
    sound = sound_replicas(cluster)
    holders = {ref: [view for view in cluster if view.peer in sound.get(ref, ())] for ref in refs}
    offers = {ref: _offer(views_of_ref, *ref) for ref, views_of_ref in holders.items()}
    unavailable = {ref: _why_none(bool(holders[ref])) for ref, offer in offers.items() if not offer}
    return Choice(_spread([offer for offer in offers.values() if offer]), unavailable)


def _why_none(sound: bool) -> str:
    if sound:
        return "every sound replica is the source of a transfer or of resharding, and Qdrant copies no such shard"
    return "no replica of it is sound"


def without_majority(views: Sequence[View]) -> str | None:
    """Why nothing is known of any replica now; None when a majority of the cluster's peers answers."""
    there = same_cluster(views)
    known = max((len(view.peers) for view in there), default=0)
    if 2 * len(there) > known:
        return None
    return f"{len(there)} of {known} peers answer: without a majority no replica is known to be up to date"


def same_cluster(views: Iterable[View]) -> tuple[PeerView, ...]:
    """The peers that answer and belong together, ordered by id: a peer that formed a cluster of its own does not."""
    there = answering(views)
    if not there:
        return ()
    newest = max(there, key=lambda view: (len(view.peers) > 1, view.term, view.commit))
    together = [view for view in there if view.peer in newest.peers and newest.peer in view.peers]
    return tuple(sorted(together, key=lambda view: view.peer))


def source_problem(views: Sequence[View], source: Source) -> str | None:
    """Why a source cannot be trusted by this look; None when it is sound and a majority says so."""
    ref = (source.collection, source.shard)
    lack = without_majority(views)
    if lack:
        return lack
    cluster = same_cluster(views)
    if source.peer not in sound_replicas(cluster).get(ref, ()):
        return f"the replica of {source.label} on peer {source.peer} is not sound"
    resharded = any(
        collection.name == source.collection and collection.resharding
        for v in cluster
        for collection in v.collections
    )
    return f"collection {source.collection} is being resharded" if resharded else None


def source_refuted(views: Sequence[View], source: Source) -> str | None:
    """What any peer of the cluster says against a source; silence says nothing."""
    for view in same_cluster(views):
        shard = _shard(view, source)
        state = shard.states.get(source.peer) if shard else None
        if shard is not None and state is not ReplicaState.ACTIVE:
            said = f"is {state}" if state else "is gone"
            return f"the replica of {source.label} on peer {source.peer} {said} while it is copied"
    return None


def _shard(view: PeerView, source: Source) -> ShardView | None:
    collection = next(
        (collection for collection in view.collections if collection.name == source.collection), None
    )
    shards = collection.shards if collection else ()
    return next((shard for shard in shards if shard.shard == source.shard), None)


def _offer(holders: Sequence[PeerView], name: str, shard: ShardId) -> tuple[Source, ...]:
    """Sound holders that are not sending this shard elsewhere: Qdrant does not snapshot a shard it forwards."""
    found = (_source(view, name, shard) for view in holders)
    return tuple(source for source in found if source)


def _source(view: PeerView, name: str, shard: ShardId) -> Source | None:
    collection = next((collection for collection in view.collections if collection.name == name), None)
    part = next((part for part in collection.shards if part.shard == shard), None) if collection else None
    if collection is None or part is None or part.local is None or _sends(collection, view.peer, shard):
        return None
    return Source(name, shard, part.key, view.peer, part.local.points or 0, part.local.bytes)


def _sends(collection: CollectionView, peer: PeerId, shard: ShardId) -> bool:
    return collection.resharding or any(
        transfer.shard == shard and transfer.source == peer for transfer in collection.transfers
    )


def _spread(offers: Sequence[tuple[Source, ...]]) -> tuple[Source, ...]:
    burden: Counter[PeerId] = Counter()
    chosen: list[Source] = []
    for sources in sorted(offers, key=lambda offer: (-offer[0].bytes, offer[0].collection, offer[0].shard)):
        source = min(sources, key=lambda source: (burden[source.peer], source.peer))
        burden[source.peer] += max(source.bytes, 1)
        chosen.append(source)
    return tuple(sorted(chosen, key=lambda source: (source.collection, source.shard)))
