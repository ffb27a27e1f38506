"""An id that is not in the cluster and on which shards are placed is cleared, unless a shard has nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from qdrant_operator.domain.cluster.layout import build_layout
from qdrant_operator.domain.cluster.membership.orphaned_replicas import why_not_purge
from qdrant_operator.domain.cluster.membership.scale_in import roles
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.planner import plan
from qdrant_operator.domain.cluster.steps import PurgePeerId
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.placement.steps import DropReplica
from qdrant_operator.domain.qdrant.soundness import shard_health
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, View
from tests.domain.clusters import collection, desired, pod, seen, silence, view

STRAY = PeerId(109)
FORGET = PurgePeerId(STRAY)
BESIDE = {0: (0, 1), 1: (1, 9), 2: (0, 2)}
"""Shard 1 was meant to have a replica on an id that is not in the cluster; peer 101 has it too."""
ALONE = {0: (0, 1), 1: (9,), 2: (0, 2)}
INITIALIZING = {(0, 9): ReplicaState.INITIALIZING, (1, 9): ReplicaState.INITIALIZING}


def world(placement: Mapping[int, tuple[int, ...]], **states: ReplicaState) -> Observed:
    """Three peers; docs is placed like this, and what is on the orphaned id never began."""
    told = {**INITIALIZING, **{(1, int(holder[1:])): state for holder, state in states.items()}}
    views: dict[str, View] = {
        f"vectors-{n}": view(n, collections=(collection(n, placement, states=told),)) for n in range(3)
    }
    return seen(tuple(pod(n) for n in range(3)), views, stateful_set_replicas=3)


def forgets(observed: Observed) -> list[PurgePeerId]:
    """Ids that the plan clears."""
    return [step for step in plan(desired(), observed).steps if isinstance(step, PurgePeerId)]


def waits(observed: Observed) -> list[Blocked]:
    """Why an id is not cleared."""
    return [wait for wait in plan(desired(), observed).blocked if wait.step == str(FORGET)]


def why_not(observed: Observed) -> str:
    """What the fresh look just before the call says."""
    return why_not_purge(STRAY, observed, build_layout(observed, roles(desired(), observed)))


def heard(observed: Observed, *pods: str) -> Observed:
    """The same observation after these peers have applied the purge."""
    cleared = {0: (0, 1), 1: (1,), 2: (0, 2)}
    views: dict[str, View] = {
        name: replace(found, collections=(collection(int(name[-1]), cleared),)) if name in pods else found
        for name, found in observed.peers.items()
    }
    return replace(observed, views=views, shards=shard_health(tuple(views.values())))


def test_an_id_that_is_no_member_is_cleared_where_a_sound_replica_is_elsewhere() -> None:
    """Without consent, before anything else is done to shards, and not by a drop, which Qdrant refuses."""
    steps = plan(desired(), world(BESIDE)).steps
    assert steps[0] == FORGET
    assert not [step for step in steps if isinstance(step, DropReplica)]
    assert why_not(world(BESIDE)) == ""


def test_a_shard_that_is_nowhere_else_holds_it_back_and_says_what_to_delete() -> None:
    """It cannot be used, and clearing the id would leave it without any holder: a person gives the collection up."""
    (wait,) = waits(world(ALONE))
    assert forgets(world(ALONE)) == []
    assert wait.guard is ClusterGuard.ORPHANED_REPLICA
    assert "docs/1 is on no other peer" in wait.message
    assert "DELETE /collections/docs" in wait.message
    assert why_not(world(ALONE)) == wait.message


def test_a_surplus_replica_on_such_an_id_is_not_dropped_while_another_shard_waits() -> None:
    """Qdrant refuses operations on an id that is not in the cluster: asking again and again would have no effect."""
    observed = world({0: (0, 1, 9), 1: (9,), 2: (0, 2)})
    assert not [step for step in plan(desired(), observed).steps if isinstance(step, DropReplica)]


def test_a_replica_elsewhere_that_is_not_sound_yet_is_waited_for() -> None:
    """A new collection's replicas need a moment, and a dead one heals."""
    observed = world(BESIDE, p1=ReplicaState.INITIALIZING)
    (wait,) = waits(observed)
    assert (forgets(observed), wait.guard) == ([], ClusterGuard.REPLICA_NOT_SOUND)
    assert "docs/1 has no sound replica on another peer yet" in wait.message


def test_nothing_is_cleared_while_a_member_is_silent() -> None:
    """It may know the id as a member, or have the shard's newest state."""
    observed = silence(world(BESIDE), "vectors-2")
    assert forgets(observed) == []
    assert [wait.guard for wait in waits(observed)] == [ClusterGuard.PEERS_UNREACHABLE]
    assert "vectors-2 does not answer" in why_not(observed)


def test_nothing_is_cleared_without_a_leader() -> None:
    """It is unknown then what consensus says."""
    observed = world(BESIDE)
    views = {name: replace(found, leader=found.peer) for name, found in observed.peers.items()}
    observed = replace(observed, views=views)
    assert forgets(observed) == []
    assert [wait.guard for wait in waits(observed)] == [ClusterGuard.CONSENSUS_UNSETTLED]


@pytest.mark.parametrize("teller", ["vectors-0", "vectors-2"])
def test_who_is_a_member_in_any_view_is_not_cleared(teller: str) -> None:
    """A peer that joins is known to some before others."""
    observed = world(BESIDE)
    knows = observed.peers[teller]
    views = {**observed.views, teller: replace(knows, peers={**knows.peers, STRAY: "http://new:6335"})}
    observed = replace(observed, views=views)
    assert (forgets(observed), waits(observed)) == ([], [])
    assert "it is in the cluster" in why_not(observed)


def test_it_is_not_asked_again_while_the_news_travels() -> None:
    """The leader hears first; the others name the id for a moment longer."""
    assert forgets(heard(world(BESIDE), "vectors-1")) == [FORGET]
    late = heard(world(BESIDE), "vectors-0")
    assert (forgets(late), waits(late)) == ([], [])
