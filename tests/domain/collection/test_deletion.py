"""When the finalizer is on an object, and what its deletion deletes."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.collection.observed import Absent
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionGuard,
    CreateCollection,
    DeleteCollection,
    MoveAliases,
    RemoveFinalizer,
)
from qdrant_operator.domain.qdrant.views import Silent
from tests.domain.collection_model import desired, live, observed


def test_the_finalizer_stands_exactly_while_the_policy_is_delete() -> None:
    """It is put before the collection is made, and taken away when the policy becomes Retain."""
    first = plan(desired({"deletionPolicy": "Delete"}), observed()).steps[:2]
    assert [type(step) for step in first] == [AddFinalizer, CreateCollection]
    (step,) = plan(desired(has_finalizer=True), observed(live())).steps
    assert isinstance(step, RemoveFinalizer)


def test_deletion_takes_aliases_and_collection_and_lets_go_last() -> None:
    """With deletionPolicy Delete everything that is ours goes, then the finalizer."""
    wanted = desired({"deletionPolicy": "Delete"}, has_finalizer=True, deleting=True)
    seen = observed(live(), aliases={"live": "docs", "else": "other"})
    planned = plan(wanted, seen)
    assert planned.steps[:2] == (MoveAliases("docs", (), ("live",)), DeleteCollection("docs"))
    assert isinstance(planned.steps[-1], RemoveFinalizer)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"cluster_gone": True}, observed(Silent("gone"))),
        ({"cluster_gone": True, "paused": True}, observed(Silent("gone"))),
        ({}, observed(live(owner=None))),
        ({}, observed(Absent())),
    ],
    ids=["cluster going", "cluster going while paused", "not ours", "not there"],
)
def test_an_object_is_let_go_when_there_is_nothing_of_it_to_clean_up(
    changes: dict[str, Any], seen: Any
) -> None:
    """No deletion hangs on a cluster that goes, and nothing is deleted that is not ours."""
    wanted = desired({"deletionPolicy": "Delete"}, has_finalizer=True, deleting=True, **changes)
    assert [type(step) for step in plan(wanted, seen).steps] == [RemoveFinalizer]


def test_a_minority_cannot_say_that_the_collection_is_gone() -> None:
    """The finalizer stays while most peers are silent."""
    wanted = desired({"deletionPolicy": "Delete"}, has_finalizer=True, deleting=True)
    planned = plan(wanted, observed(answering=1))
    assert planned.steps == ()
    assert planned.blocked[0].guard is CollectionGuard.PEERS_UNREACHABLE
