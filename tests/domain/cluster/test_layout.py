"""From views to one picture, and the last question before a step is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.removal_check import why_not_remove
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.shard_health import health
from qdrant_operator.domain.cluster.steps import RemovePeer
from qdrant_operator.domain.placement.model import Layout, Policy
from qdrant_operator.domain.placement.planner import plan_placement
from qdrant_operator.domain.placement.preflight import why_not
from qdrant_operator.domain.placement.steps import (
    AbortTransfer,
    DropReplica,
    MoveShard,
    PlacementStep,
    ReplicateShard,
)
from qdrant_operator.domain.placement.wants import KeyWant
from qdrant_operator.domain.qdrant.views import (
    CollectionView,
    PeerId,
    ReplicaState,
    ShardId,
    ShardKey,
    ShardView,
    Transfer,
    View,
)
from tests.domain.clusters import collection, desired, pod, seen, silence, view

A, B, C, D = (PeerId(100 + n) for n in range(4))
REF = ("docs", ShardId(0))
PODS = ("vectors-0", "vectors-2")


def look(placement: Mapping[int, tuple[int, ...]], peers: int = 3, **how: Any) -> Observed:
    """Peers that all say the same."""
    views: dict[str, View] = {
        f"vectors-{n}": view(n, peers, collections=(collection(n, placement, **how),)) for n in range(peers)
    }
    return seen(tuple(pod(n) for n in range(peers)), views, stateful_set_replicas=peers)


def says(observed: Observed, name: str, told: CollectionView) -> Observed:
    """The same, where one peer says something else of the collection."""
    views = {**observed.views, name: replace(observed.peers[name], collections=(told,))}
    return replace(observed, views=views, shards=health(views, observed.wants))


def layout_of(observed: Observed, replicas: int = 3, **spec: Any) -> Layout:
    """The picture."""
    return build_layout(observed, roles(desired(replicas, **spec), observed))


def copy(kind: type[MoveShard | ReplicateShard], source: PeerId, target: PeerId) -> PlacementStep:
    """A transfer of shard docs/0."""
    return kind(REF, source, target, "snapshot", PODS, 1, "test")


def drop(peer: PeerId) -> DropReplica:
    """A drop of docs/0."""
    return DropReplica(REF, peer, "vectors-0", "test")


def test_agreed_views_are_one_picture() -> None:
    """Members with their pods, the shard with its sound holders, nothing disputed, nothing unsettled."""
    layout = layout_of(look({0: (0, 1)}))
    assert [(peer.id, peer.pod, peer.answers) for peer in layout.peers] == [
        (A, "vectors-0", True),
        (B, "vectors-1", True),
        (C, "vectors-2", True),
    ]
    (shard,) = layout.shards
    assert (shard.ref, shard.factor, shard.sound, shard.disputed) == (REF, 2, frozenset({A, B}), "")
    assert (layout.unsettled, layout.transfers) == ("", ())


def test_a_holder_in_any_view_is_a_holder_and_the_shard_is_disputed() -> None:
    """One peer lags: what it alone names still counts, and nothing destructive is planned."""
    observed = says(look({0: (0, 1)}), "vectors-2", collection(2, {0: (0, 1, 2)}))
    (shard,) = layout_of(observed).shards
    assert shard.holders == {A, B, C}
    assert shard.disputed == "the peers contradict each other about its replicas"


def test_the_least_healthy_state_counts() -> None:
    """Dead in one view is not Active."""
    dead = collection(2, {0: (0, 1)}, states={(0, 1): ReplicaState.DEAD})
    (shard,) = layout_of(says(look({0: (0, 1)}), "vectors-2", dead)).shards
    assert {replica.peer: replica.state for replica in shard.replicas}[B] is ReplicaState.DEAD
    assert shard.sound == {A}


def test_a_peer_that_does_not_know_every_collection_does_not_count_as_answering() -> None:
    """It has joined a moment ago; nothing is moved to it, and its ignorance is no dispute."""
    observed = look({0: (0, 1)})
    views = {**observed.views, "vectors-2": replace(observed.peers["vectors-2"], collections=())}
    layout = layout_of(replace(observed, views=views))
    assert [peer.id for peer in layout.peers if not peer.answers] == [C]
    assert layout.shards[0].disputed == ""


def test_one_silent_peer_of_three_unsettles_nothing_and_two_do() -> None:
    """Repair continues beside a dead peer; without a majority nothing does."""
    observed = look({0: (0, 1)})
    assert layout_of(silence(observed, "vectors-2")).unsettled == ""
    assert "no majority" in layout_of(silence(observed, "vectors-1", "vectors-2")).unsettled


def test_after_a_change_the_leader_itself_must_answer() -> None:
    """The others may not have heard of the last step: on their word alone a next one would not know of it."""
    observed = replace(look({0: (0, 1)}), just_changed=True)
    assert layout_of(silence(observed, "vectors-2")).unsettled == ""
    without_leader = silence(observed, "vectors-0")
    assert layout_of(without_leader).unsettled.startswith("the leader does not answer")
    assert layout_of(replace(without_leader, just_changed=False)).unsettled == ""


def test_the_factor_of_a_shard_key_comes_from_its_want() -> None:
    """Three replicas are asked of the key, in one zone."""
    told = [ShardView(ShardId(0), "eu", {A: ReplicaState.ACTIVE}, None)]
    docs = CollectionView("docs", 1, 2, 1, sharding_custom=True, shards=tuple(told))
    views: dict[str, View] = {f"vectors-{n}": view(n, collections=(docs,)) for n in range(3)}
    wants: dict[tuple[str, ShardKey], KeyWant] = {("docs", "eu"): KeyWant(factor=3, zone="a")}
    pods = (pod(0, zone="a"), pod(1, zone="b"), pod(2, zone="a"))
    observed = seen(pods, views, stateful_set_replicas=3, wants=wants, shards=health(views, wants))
    (shard,) = layout_of(observed).shards
    assert (shard.factor, shard.key, shard.allowed) == (3, "eu", frozenset({A, C}))


def test_leaving_peers_are_marked_unless_the_rest_is_too_few() -> None:
    """Two of four peers remain: with factor 2 the others leave, with factor 3 none does."""
    four = look({0: (0, 1)}, 4)
    assert {peer.id for peer in layout_of(four, 2).peers if peer.leaving} == {C, D}
    wide = look({0: (0, 1)}, 4, factor=3)
    assert not [peer for peer in layout_of(wide, 2).peers if peer.leaving]


def test_a_volume_cannot_have_more_room_than_its_size_less_what_is_known() -> None:
    """The upper bound of the free space: 1 Gi less the 64,000 bytes that it holds."""
    layout = layout_of(look({0: (0, 1)}), persistence={"size": "1Gi"})
    assert [peer.free_bytes for peer in layout.peers] == [2**30 - 64_000, 2**30 - 64_000, 2**30]


RUNNING = Transfer(ShardId(0), A, C, "snapshot", keeps_source=False)


def with_transfer(observed: Observed) -> Observed:
    """vectors-0 lists a transfer of docs/0 to vectors-2."""
    return says(observed, "vectors-0", replace(collection(0, {0: (0, 1)}), transfers=(RUNNING,)))


REFUSED: dict[str, tuple[PlacementStep, Observed, str]] = {
    "source not sound": (
        copy(ReplicateShard, B, C),
        look({0: (0, 1)}, points={(0, 1): None}),
        "replica on peer 101 is not sound",
    ),
    "target holds it": (copy(MoveShard, A, B), look({0: (0, 1)}), "peer 101 already holds the shard"),
    "target holds it in one view": (
        copy(ReplicateShard, A, C),
        says(look({0: (0, 1)}), "vectors-2", collection(2, {0: (0, 1, 2)})),
        "peer 102 already holds the shard",
    ),
    "target is silent": (
        copy(MoveShard, A, C),
        silence(look({0: (0, 1)}), "vectors-2"),
        "peer 102 does not answer",
    ),
    "target is in a transfer": (
        copy(ReplicateShard, B, C),
        with_transfer(look({0: (0, 1)})),
        "another transfer of the shard is running",
    ),
    "shard is gone": (
        MoveShard(("old", ShardId(0)), A, C, "snapshot", PODS, 1, "test"),
        look({0: (0, 1)}),
        "no peer lists the shard",
    ),
    "drop of one of two": (drop(A), look({0: (0, 1)}), "only 1 sound replica would remain"),
    "drop of the last": (drop(A), look({0: (0,)}, factor=1), "only 0 sound replicas would remain"),
    "drop beside a dummy": (
        drop(A),
        look({0: (0, 1)}, factor=1, points={(0, 1): None}),
        "only 0 sound replicas would remain",
    ),
    "drop of a disputed one": (
        drop(A),
        says(look({0: (0, 1, 2)}, factor=1), "vectors-2", collection(2, {0: (0, 2)}, factor=1)),
        "contradict",
    ),
    "drop during a transfer": (
        drop(B),
        with_transfer(look({0: (0, 1)})),
        "a transfer of the shard is running",
    ),
    "no majority": (
        drop(A),
        silence(look({0: (0, 1, 2)}), "vectors-1", "vectors-2"),
        "that is no majority",
    ),
    "abort of nothing": (
        AbortTransfer(REF, A, C, PODS, "test"),
        look({0: (0, 1)}),
        "the transfer has ended",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_step_that_is_not_right_any_more_is_refused_in_words(case: str) -> None:
    """Each reason on its own; the sentence says which."""
    step, observed, words = REFUSED[case]
    assert words in why_not(step, layout_of(observed))


ALLOWED: dict[str, tuple[PlacementStep, Observed]] = {
    "move": (copy(MoveShard, A, C), look({0: (0, 1)})),
    "replicate": (copy(ReplicateShard, B, C), look({0: (0, 1)})),
    "replicate beside a dead peer": (
        copy(ReplicateShard, A, C),
        silence(look({0: (0, 1)}), "vectors-1"),
    ),
    "surplus drop": (drop(C), look({0: (0, 1, 2)})),
    "drop of a worthless one": (drop(B), look({0: (0, 1)}, points={(0, 1): None})),
    "abort": (AbortTransfer(REF, A, C, PODS, "test"), with_transfer(look({0: (0, 1)}))),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_step_that_is_still_right_goes(case: str) -> None:
    """The checks refuse nothing that is safe."""
    step, observed = ALLOWED[case]
    assert why_not(step, layout_of(observed)) == ""


def remove(peer: PeerId, *, force: bool = False) -> RemovePeer:
    """The removal of a member."""
    return RemovePeer(peer, "vectors-2", force=force, why="test")


def test_a_member_is_removed_only_when_empty_in_every_view() -> None:
    """Held by one view, or being copied there: refused. Empty and every other peer answers: removed."""
    assert why_not_remove(remove(C), layout_of(look({0: (0, 1)}))) == ""
    held = says(look({0: (0, 1)}), "vectors-1", collection(1, {0: (0, 1, 2)}))
    assert "peer 102 holds docs/0" in why_not_remove(remove(C), layout_of(held))
    coming = with_transfer(look({0: (0, 1)}))
    assert "peer 102 holds docs/0" in why_not_remove(remove(C), layout_of(coming))
    silent = silence(look({0: (0, 1)}, 4), "vectors-3")
    assert "vectors-3 does not answer" in why_not_remove(remove(C), layout_of(silent))


def test_force_needs_another_sound_replica_and_a_majority() -> None:
    """The only replica is never forced away."""
    dead = silence(look({0: (0, 2)}), "vectors-2")
    assert why_not_remove(remove(C, force=True), layout_of(dead)) == ""
    only = silence(look({0: (2,)}, factor=1), "vectors-2")
    assert "no other peer has a sound replica of docs/0" in why_not_remove(
        remove(C, force=True), layout_of(only)
    )


def test_a_stale_replica_is_dropped_and_made_again() -> None:
    """A dead leftover on a peer that answers: first it goes, then the shard gets its second replica."""
    states = {(0, 2): ReplicaState.DEAD}
    observed = look({0: (0, 2)}, states=states)
    assert plan_placement(layout_of(observed), Policy()).steps == ()
    stale = replace(observed, stale=frozenset({(REF, C)}))
    first = plan_placement(layout_of(stale), Policy()).steps[0]
    assert isinstance(first, DropReplica)
    assert (first.shard, first.peer) == (REF, C)
    after = plan_placement(layout_of(look({0: (0,)})), Policy()).steps
    assert [type(step) for step in after] == [ReplicateShard]
