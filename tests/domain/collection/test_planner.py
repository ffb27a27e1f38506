"""Laws of the collection planner, and cases that concern all of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from qdrant_operator.domain.collection.observed import Live
from qdrant_operator.domain.collection.ownership import Claims
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.settings import differences
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    DeleteCollection,
    MoveAliases,
    TakeOver,
    UpdateCollection,
)
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.views import Silent
from tests.domain.collection_model import World, after, desired, live, observed, worlds

MOST_STEPS = 16
"""A finalizer, a creation, a patch, indexes on three fields each made and dropped, aliases: fewer than this."""


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_after_the_first_step_the_rest_is_what_a_fresh_plan_gives(world: World) -> None:
    """Resumable: an operator that dies after a step goes on as if it had not."""
    planned = plan(*world)
    if planned.steps:
        assert plan(*after(world, planned.steps[0])).steps == planned.steps[1:]


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_carrying_out_every_step_leaves_nothing_to_do(world: World) -> None:
    """Ends: after at most a few steps nothing is planned, and the same things are held back as before."""
    held_back = plan(*world).blocked
    for _ in range(MOST_STEPS):
        steps = plan(*world).steps
        if not steps:
            break
        world = after(world, steps[0])
    assert plan(*world) == Plan(blocked=held_back)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_the_same_world_gives_the_same_plan_and_every_part_of_it_has_a_sentence(world: World) -> None:
    """Deterministic and sayable."""
    planned = plan(*world)
    assert plan(*world) == planned
    assert all(str(step) and step.reason for step in planned.steps)
    assert len({str(step) for step in planned.steps}) == len(planned.steps)
    assert all(one.step and one.message for one in planned.blocked)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_a_collection_of_somebody_else_is_never_changed_or_deleted(world: World) -> None:
    """Whatever is wanted, a collection that bears another mark is only adopted, when nothing about it differs."""
    wanted, seen = world
    steps = plan(wanted, seen).steps
    if isinstance(seen.collection, Live) and seen.collection.owner != wanted.owner:
        assert not any(isinstance(step, DeleteCollection) for step in steps)
        assert not any(isinstance(step, UpdateCollection) for step in steps)
        if any(isinstance(step, TakeOver) for step in steps):
            assert differences(wanted.spec, seen.collection.config) == ()


def test_a_settled_collection_is_left_alone() -> None:
    """Nothing is planned for a collection that is as declared."""
    assert plan(desired(), observed(live())) == Plan()


def test_a_collection_that_not_every_peer_knows_yet_is_left_alone() -> None:
    """Read your writes: nothing is asked of a collection that a peer does not know."""
    planned = plan(desired({"hnsw": {"m": 32}}), observed(live(unaware=1)))
    assert planned.steps == ()
    assert [one.guard for one in planned.blocked] == [CollectionGuard.PEERS_CATCHING_UP]


def test_silence_is_not_absence() -> None:
    """Nothing is created, changed or deleted while Qdrant does not tell."""
    unreadable = observed(Silent("0 of 0 read operations failed"))
    for wanted in (desired(), desired({"deletionPolicy": "Delete"}, has_finalizer=True, deleting=True)):
        planned = plan(wanted, unreadable)
        assert planned.steps == ()
        assert "0 of 0 read operations failed" in planned.blocked[0].message


def test_aliases_are_moved_in_one_call() -> None:
    """New ones are pointed here, one that the spec dropped is removed, others' aliases are left."""
    wanted = desired({"aliases": ["live", "next"]}, granted=frozenset({"old", "gone"}))
    aliases = {"live": "docs-v1", "old": "docs", "gone": "docs-v1", "theirs": "docs"}
    (step,) = plan(wanted, observed(live(), aliases=aliases)).steps
    assert isinstance(step, MoveAliases)
    assert step.actions == [
        {"delete_alias": {"alias_name": "old"}},
        {"create_alias": {"collection_name": "docs", "alias_name": "live"}},
        {"create_alias": {"collection_name": "docs", "alias_name": "next"}},
    ]


def test_an_alias_that_another_object_now_claims_is_left_to_it() -> None:
    """A dropped alias is not removed before its new owner has moved it: readers see no gap."""
    wanted = desired(granted=frozenset({"live"}), claims=Claims(claimed_aliases=frozenset({"live"})))
    assert plan(wanted, observed(live(), aliases={"live": "docs"})) == Plan()


@pytest.mark.parametrize(
    ("alias", "guard"),
    [
        ("theirs", CollectionGuard.ALIAS_CLASH),
        ("other", CollectionGuard.ALIAS_IS_COLLECTION),
        ("docs", CollectionGuard.ALIAS_IS_COLLECTION),
    ],
)
def test_an_alias_that_cannot_be_ours_is_refused(alias: str, guard: CollectionGuard) -> None:
    """The other aliases are moved all the same."""
    wanted = desired({"aliases": [alias, "live"]}, claims=Claims(alias_rivals={"theirs": "default/older"}))
    planned = plan(wanted, observed(live(), collections=frozenset({"docs", "other"})))
    assert planned.steps == (MoveAliases("docs", ("live",)),)
    assert [one.guard for one in planned.blocked] == [guard]


def test_a_paused_cluster_is_observed_and_not_touched() -> None:
    """Every step is shown as held back by the pause."""
    planned = plan(desired({"hnsw": {"m": 32}, "aliases": ["live"]}, paused=True), observed(live()))
    assert planned.steps == ()
    assert [one.guard for one in planned.blocked] == [CollectionGuard.CLUSTER_PAUSED] * 2
