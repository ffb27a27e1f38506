"""What a backup takes from where, and what stays: laws over generated clusters and histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.domain.backup.retention import (
    KEEP_FAILED,
    PART_BYTES,
    Kept,
    Phase,
    chosen_collections,
    leftover,
    newest_version,
    part_bytes,
    progress_line,
    prune,
)
from qdrant_operator.domain.backup.sources import plan_sources, source_problem, source_refuted
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.qdrant.soundness import sound_replicas
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Silent, Transfer, View
from tests.domain.clusters import collection, view

PLACEMENT: dict[int, tuple[int, ...]] = {0: (0, 1), 1: (1, 2), 2: (0, 2)}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def cluster(placement: dict[int, tuple[int, ...]] = PLACEMENT, peers: int = 3) -> list[View]:
    """Healthy views of a cluster with one collection."""
    return [view(n, peers, collections=(collection(n, placement),)) for n in range(peers)]


def test_every_shard_is_taken_once_and_the_peers_share_the_work() -> None:
    """Three shards on three peers: each shard once, each peer gives one."""
    sources = plan_sources(cluster(), ["docs"]).sources
    assert [source.label for source in sources] == ["docs/0", "docs/1", "docs/2"]
    assert {source.peer for source in sources} == {100, 101, 102}


@given(
    st.dictionaries(
        st.integers(0, 11), st.sets(st.integers(0, 4), min_size=1, max_size=3).map(tuple), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_sources_are_sound_complete_and_the_same_in_any_order(
    placement: dict[int, tuple[int, ...]], random: object
) -> None:
    """Each shard exactly once, from a sound holder, whatever the order of the views."""
    numbered = {n: holders for n, (_, holders) in enumerate(sorted(placement.items()))}
    views = cluster(numbered, 5)
    sources = plan_sources(views, ["docs"]).sources
    sound = sound_replicas(views)
    assert [source.shard for source in sources] == sorted(numbered)
    assert all(source.peer in sound["docs", source.shard] for source in sources)
    shuffled = list(views)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_sources(shuffled, ["docs"]).sources == sources


def test_dead_replica_is_not_taken() -> None:
    """A shard whose replica on the first peer is Dead is taken from the second."""
    states = {(0, 0): ReplicaState.DEAD}
    views = [view(n, collections=(collection(n, PLACEMENT, states=states),)) for n in range(3)]
    first = plan_sources(views, ["docs"]).sources[0]
    assert first.peer == 101


def test_empty_replica_beside_a_full_one_is_not_taken() -> None:
    """A replica that calls itself Active but holds nothing is no source."""
    points: dict[tuple[int, int], int | None] = {(0, 0): 0}
    views = [view(n, collections=(collection(n, PLACEMENT, points=points),)) for n in range(3)]
    assert plan_sources(views, ["docs"]).sources[0].peer == 101


def test_shard_without_a_sound_replica_is_named() -> None:
    """Both holders of shard 1 are silent, a majority of the peers answers: the other shards have a source."""
    views: list[View] = [*cluster({0: (0, 1), 1: (3, 4), 2: (1, 2)}, 5)[:3], Silent("gone"), Silent("gone")]
    choice = plan_sources(views, ["docs"])
    assert [one.label for one in choice.sources] == ["docs/0", "docs/2"]
    assert list(choice.unavailable) == [("docs", 1)]


def test_without_a_majority_nothing_is_a_source() -> None:
    """A peer that came back alone still calls itself Active: what it lacks is known only to the others."""
    views: list[View] = [cluster()[0], Silent("gone"), Silent("gone")]
    choice = plan_sources(views, ["docs"])
    assert (choice.sources, list(choice.unavailable)) == ((), [("docs", 0), ("docs", 1), ("docs", 2)])
    assert "1 of 3 peers" in choice.unavailable["docs", ShardId(0)]
    source = plan_sources(cluster(), ["docs"]).sources[0]
    assert "majority" in (source_problem(views, source) or "")
    assert source_problem(cluster(), source) is None


def test_peer_with_a_cluster_of_its_own_has_no_say() -> None:
    """It knows neither the collection nor the others, and makes no replica of theirs unsound."""
    alone = view(3, 4, term=99)
    views: list[View] = [*cluster(), replace(alone, peers={alone.peer: "http://vectors-3"})]
    assert len(plan_sources(views, ["docs"]).sources) == 3


def test_saved_shards_are_not_planned_again() -> None:
    """The second round takes only what is left."""
    left = plan_sources(cluster(), ["docs"], frozenset({("docs", ShardId(0)), ("docs", ShardId(2))}))
    assert [one.label for one in left.sources] == ["docs/1"]


@pytest.mark.parametrize("state", [one for one in ReplicaState if one is not ReplicaState.ACTIVE])
def test_source_is_refuted_by_any_peer(state: ReplicaState) -> None:
    """One view that calls it otherwise is enough, also when the source's own peer does not know yet."""
    source = plan_sources(cluster(), ["docs"]).sources[0]
    told = {(0, int(source.peer) - 100): state}
    views = cluster()
    assert source_refuted(views, source) is None
    views[2] = view(2, collections=(collection(2, PLACEMENT, states=told),))
    assert str(state) in (source_refuted(views, source) or "")
    assert source_problem(views, source) is not None


def test_silence_refutes_nothing_and_confirms_nothing() -> None:
    """A source that does not answer while it works is neither bad nor good."""
    source = plan_sources(cluster(), ["docs"]).sources[0]
    views = cluster()
    views[int(source.peer) - 100] = Silent("busy")
    assert source_refuted(views, source) is None
    assert source_problem(views, source) is not None


def test_sender_of_a_running_transfer_is_not_a_source() -> None:
    """Qdrant makes no snapshot of a shard that it is just forwarding: the other replica is taken."""
    moving = Transfer(ShardId(0), PeerId(100), PeerId(102), "snapshot")
    views: list[View] = [
        view(n, collections=(replace(collection(n, PLACEMENT), transfers=(moving,)),)) for n in range(3)
    ]
    assert plan_sources(views, ["docs"]).sources[0].peer == 101


def test_collections_are_chosen_by_globs() -> None:
    """A name or a pattern chooses; no pattern chooses all; no match is refused and names what there is."""
    assert chosen_collections(["docs", "events-1", "events-2"], ["events-*"]) == ("events-1", "events-2")
    assert chosen_collections(["b", "a"], []) == ("a", "b")
    with pytest.raises(Refused, match="docs") as refused:
        chosen_collections(["docs"], ["nothing"])
    assert refused.value.reason == "NothingToSnapshot"


KEPT = st.builds(
    Kept,
    name=st.uuids().map(str),
    phase=st.sampled_from(Phase),
    created=st.integers(0, 1000).map(lambda minutes: NOON + timedelta(minutes=minutes)),
)
HISTORIES = st.lists(KEPT, max_size=30, unique_by=lambda one: one.name)


@given(HISTORIES, st.one_of(st.none(), st.integers(1, 10)))
def test_retention_laws(history: list[Kept], keep: int | None) -> None:
    """The newest good ones stay, failures push nothing out, what runs is untouched, and pruning ends."""
    doomed = set(prune(history, keep))
    stays = [one for one in history if one.name not in doomed]
    good = sorted(one.created for one in history if one.phase.good)
    stay_good = sorted(one.created for one in stays if one.phase.good)
    proven = [one.created for one in history if one.phase is Phase.VERIFIED]
    newest = good if keep is None else good[-keep:]
    assert stay_good == newest or set(stay_good) == {*newest, max(proven)}
    assert max(proven, default=None) == max(
        (one.created for one in stays if one.phase is Phase.VERIFIED), default=None
    )
    assert [one for one in history if not one.phase.over] == [one for one in stays if not one.phase.over]
    failed = sorted(one.created for one in history if one.phase is Phase.FAILED)
    assert sorted(one.created for one in stays if one.phase is Phase.FAILED) == failed[-KEEP_FAILED:]
    partial = sorted(one.created for one in history if one.phase is Phase.PARTIALLY_FAILED)
    stay_partial = sorted(one.created for one in stays if one.phase is Phase.PARTIALLY_FAILED)
    assert stay_partial == (partial if keep is None else partial[-keep:])
    assert prune(stays, keep) == ()


@given(HISTORIES, st.integers(-5, 10))
def test_last_good_backup_is_never_deleted(history: list[Kept], keep: int) -> None:
    """Whatever the number says, the newest good one stays."""
    good = [one for one in history if one.phase.good]
    newest = max((one.created for one in good), default=None)
    stays = [one for one in good if one.name not in prune(history, keep)]
    assert max((one.created for one in stays), default=None) == newest


@given(st.integers(0, 50 * 2**40))
def test_parts_fit_the_limits_of_s3(size: int) -> None:
    """At most 10,000 parts, each of 8 MiB at least, for files up to 50 TiB."""
    part = part_bytes(size)
    assert part >= PART_BYTES
    assert size <= part * 10_000


def test_leftover_is_the_only_new_file_of_that_moment() -> None:
    """A file that was there before, or that is from another hour, is nobody's leftover; of two none is."""
    files = [("old", NOON), ("ours", NOON + timedelta(seconds=3)), ("later", NOON + timedelta(hours=1))]
    assert leftover(["old"], files, NOON) == "ours"
    assert leftover(["old", "ours"], files, NOON) is None
    assert leftover([], files, NOON) is None


def test_progress_reads_as_in_the_documentation() -> None:
    """Shards and bytes in the unit of the whole, which never is below what was sent."""
    assert progress_line(12, 24, int(4.1 * 2**30), int(9.8 * 2**30)) == "12/24 shards, 4.1/9.8 GiB"
    assert progress_line(1, 1, 200, 100) == "1/1 shards, 200/200 B"


def test_newest_version_is_compared_by_number() -> None:
    """1.19.0 is newer than 1.9.9."""
    assert newest_version([view(0, version="1.9.9"), view(1, version="1.19.0")]) == "1.19.0"
