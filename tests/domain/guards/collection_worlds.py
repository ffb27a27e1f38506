"""For each guard of a QdrantCollection a small world in which it holds something back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdrant_operator.domain.collection.observed import Desired, KeySeen, Observed
from qdrant_operator.domain.collection.ownership import Claims
from qdrant_operator.domain.collection.planner import plan, refused_by_qdrant
from qdrant_operator.domain.collection.steps import CollectionGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId, ShardId, Silent
from tests.domain.collection_model import desired, live, observed


@dataclass(frozen=True, slots=True)
class CollectionWorld:
    """What is declared, what is there, and what Qdrant refused."""

    desired: Desired
    observed: Observed
    refused: tuple[Blocked, ...] = ()


WORLDS: dict[CollectionGuard, Callable[[], CollectionWorld]] = {}
"""A world by guard; its docstring is the situation."""


def example(
    guard: CollectionGuard,
) -> Callable[[Callable[[], CollectionWorld]], Callable[[], CollectionWorld]]:
    """Say which guard a world is an example of."""

    def register(world: Callable[[], CollectionWorld]) -> Callable[[], CollectionWorld]:
        assert guard not in WORLDS, guard
        WORLDS[guard] = world
        return world

    return register


def keyed(*keys: dict[str, Any]) -> dict[str, Any]:
    """A spec with these shard keys."""
    return {"sharding": {"method": "Custom", "keys": list(keys)}}


def without_key_eu(seen: KeySeen) -> CollectionWorld:
    """The key eu was declared once, is no more, and looks like this."""
    there = observed(live({"sharding_method": "custom"}), keys={"eu": seen})
    return CollectionWorld(desired(keyed(), granted_keys=frozenset({"eu"})), there)


@example(CollectionGuard.INVALID_SPEC)
def a_field_stands_twice() -> CollectionWorld:
    """The spec declares two payload indexes on one field."""
    twice = [{"field": "tenant", "type": "keyword"}, {"field": '"tenant"', "type": "text"}]
    return CollectionWorld(desired({"payloadIndexes": twice}), observed(live()))


@example(CollectionGuard.NAME_CLASH)
def somebody_has_the_name() -> CollectionWorld:
    """An older QdrantCollection declares the same collection."""
    return CollectionWorld(desired(claims=Claims(rival="search/documents")), observed(live(owner=None)))


@example(CollectionGuard.ADOPTION_REFUSED)
def it_is_there_and_differs() -> CollectionWorld:
    """A collection docs that no QdrantCollection created exists, with vectors of another size."""
    return CollectionWorld(desired({"vectors": {"size": 768, "distance": "Dot"}}), observed(live(owner=None)))


@example(CollectionGuard.TOO_FEW_PEERS)
def more_replicas_than_peers() -> CollectionWorld:
    """The replication factor is raised to 4 on a cluster of three peers."""
    return CollectionWorld(desired({"replicationFactor": 4}), observed(live()))


@example(CollectionGuard.IMMUTABLE_FIELD_CHANGED)
def another_distance() -> CollectionWorld:
    """The spec has another distance than the existing collection."""
    return CollectionWorld(desired({"vectors": {"size": 4, "distance": "Cosine"}}), observed(live()))


@example(CollectionGuard.SHARD_KEY_HOLDS_POINTS)
def a_full_key() -> CollectionWorld:
    """A shard key was removed from the spec, and it holds points."""
    return without_key_eu(KeySeen(1, 1200))


@example(CollectionGuard.ALIAS_CLASH)
def somebody_has_the_alias() -> CollectionWorld:
    """An older QdrantCollection declares the alias live too."""
    claims = Claims(alias_rivals={"live": "search/documents"})
    return CollectionWorld(desired({"aliases": ["live"]}, claims=claims), observed(live()))


@example(CollectionGuard.ALIAS_IS_COLLECTION)
def a_collection_has_the_name() -> CollectionWorld:
    """The declared alias is the name of another collection."""
    both = frozenset({"docs", "live"})
    return CollectionWorld(desired({"aliases": ["live"]}), observed(live(), collections=both))


@example(CollectionGuard.QDRANT_REFUSED)
def qdrant_says_no() -> CollectionWorld:
    """Qdrant refuses a step; the message ends with Qdrant's error."""
    wanted, there = desired({"hnsw": {"m": 24}}), observed(live())
    said = "Bad request: disk quota of the collection is used up"
    return CollectionWorld(wanted, there, (refused_by_qdrant(plan(wanted, there).steps[-1], said),))


@example(CollectionGuard.PEERS_UNREACHABLE)
def a_peer_is_silent() -> CollectionWorld:
    """The collection is to be created, and one of three peers does not answer."""
    return CollectionWorld(desired(), observed(answering=2))


@example(CollectionGuard.PEERS_CATCHING_UP)
def a_peer_is_new() -> CollectionWorld:
    """A peer has just joined and does not know the collection yet."""
    return CollectionWorld(desired(), observed(live(unaware=1)))


@example(CollectionGuard.COLLECTION_UNREADABLE)
def a_shard_has_nobody() -> CollectionWorld:
    """The only peer with shard 1 is down: Qdrant cannot report the state of the collection."""
    why = "The replica set for shard 1 on peer 1 has no active replica"
    return CollectionWorld(
        desired(), observed(Silent(f"GET http://10.0.0.1:6333/collections/docs: 500: {why}"))
    )


@example(CollectionGuard.INDEX_BUILDING)
def an_index_grows() -> CollectionWorld:
    """The index on tenant was requested a moment ago."""
    index = [{"field": "tenant", "type": "keyword"}]
    return CollectionWorld(
        desired({"payloadIndexes": index}), observed(live(), building=frozenset({"tenant"}))
    )


@example(CollectionGuard.REPLICAS_MISSING)
def writes_wait_for_replicas() -> CollectionWorld:
    """Both factors were raised to 2, and replicas are still being created."""
    one = frozenset({PeerId(1)})
    short = ShardHealth("docs", ShardId(0), 2, one, one, frozenset())
    wanted = desired({"replicationFactor": 2, "writeConsistencyFactor": 2})
    return CollectionWorld(wanted, observed(live({"replication_factor": 2}), shards=(short,)))


@example(CollectionGuard.TRANSFER_RUNNING)
def a_key_moves() -> CollectionWorld:
    """A shard key was removed from the spec while a shard of it is being transferred to another peer."""
    return without_key_eu(KeySeen(1, 0, unsettled="a shard of it is being transferred"))


@example(CollectionGuard.CLUSTER_PAUSED)
def the_cluster_is_paused() -> CollectionWorld:
    """A change is pending, and the QdrantCluster has paused: true."""
    return CollectionWorld(desired({"hnsw": {"m": 24}}, paused=True), observed(live()))
