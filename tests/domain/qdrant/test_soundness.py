"""Active is not sound."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.qdrant.soundness import shard_health, sound_replicas, wanted_replicas
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Silent
from tests.domain.clusters import collection, view

SHARD = ("docs", ShardId(0))
PLACEMENT = {0: (0, 1)}


def test_two_answering_peers_with_equal_copies_are_sound() -> None:
    """Both holders answer, both are Active in both views, both hold the points."""
    views = [view(n, 2, collections=(collection(n, PLACEMENT),)) for n in (0, 1)]
    assert sound_replicas(views)[SHARD] == {PeerId(100), PeerId(101)}


def test_a_replica_on_a_silent_peer_is_not_sound() -> None:
    """A killed peer's replica stays Active in the others' views, and counts for nothing."""
    answering = view(0, 2, collections=(collection(0, PLACEMENT),))
    assert sound_replicas([answering, Silent("no answer")])[SHARD] == {PeerId(100)}


def test_a_dummy_is_not_sound_although_it_is_active() -> None:
    """A shard that failed to load keeps its Active state and has no countable points."""
    dummy = collection(1, PLACEMENT, points={(0, 1): None})
    views = [view(0, 2, collections=(collection(0, PLACEMENT),)), view(1, 2, collections=(dummy,))]
    assert sound_replicas(views)[SHARD] == {PeerId(100)}


def test_an_empty_copy_beside_a_full_one_is_not_sound() -> None:
    """Zero points beside a thousand is not a copy."""
    empty = collection(1, PLACEMENT, points={(0, 1): 0})
    views = [view(0, 2, collections=(collection(0, PLACEMENT),)), view(1, 2, collections=(empty,))]
    assert sound_replicas(views)[SHARD] == {PeerId(100)}


def test_one_view_that_says_dead_outweighs_another_that_says_active() -> None:
    """Peers may disagree for a while; a replica is sound only when all that answer agree."""
    doubtful = collection(1, PLACEMENT, states={(0, 0): ReplicaState.DEAD})
    views = [view(0, 2, collections=(collection(0, PLACEMENT),)), view(1, 2, collections=(doubtful,))]
    health = shard_health(views)[0]
    assert health.sound == {PeerId(101)}
    assert health.dead == {PeerId(100)}


def test_a_peer_that_does_not_know_the_collection_yet_agrees_with_nobody() -> None:
    """A peer that has just joined answers 404 for half a second; until then nothing is sound."""
    views = [view(0, 2, collections=(collection(0, PLACEMENT),)), view(1, 2)]
    assert sound_replicas(views)[SHARD] == set()


def test_a_shard_without_any_replica_is_seen() -> None:
    """After a forced removal a shard may stand in no list; the shard number still counts it."""
    gone = collection(0, {0: (0,), 1: (0,)}, factor=1)
    only_first = type(gone)(gone.name, 2, 1, 1, sharding_custom=False, shards=gone.shards[:1])
    health = shard_health([view(0, 1, collections=(only_first,))])
    assert [(shard.shard, len(shard.holders), shard.healthy) for shard in health] == [
        (0, 1, True),
        (1, 0, False),
    ]


@pytest.mark.parametrize(
    ("configured", "declared", "key_factor", "wanted"),
    [(2, None, None, 2), (2, 3, None, 3), (3, 2, None, 3), (3, 3, 1, 1), (1, None, 2, 2)],
    ids=["configured", "higher is declared", "lower is declared", "key below", "key above"],
)
def test_wanted_replicas(configured: int, declared: int | None, key_factor: int | None, wanted: int) -> None:
    """A shard key's own factor comes first; else the higher of Qdrant's configuration and the spec."""
    assert wanted_replicas(configured, declared, key_factor) == wanted
