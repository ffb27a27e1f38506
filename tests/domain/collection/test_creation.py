"""What is created or adopted, and the guards that block it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qdrant_operator.domain.collection.ownership import Claims
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CreateCollection,
    RemoveFinalizer,
    UpdateCollection,
)
from tests.domain.collection_model import OWNER, desired, live, observed


def test_creation_marks_the_collection_and_forecasts_the_rest() -> None:
    """The first plan for a new collection shows everything that will be done, mark included."""
    spec = {"readFanOutFactor": 2, "payloadIndexes": [{"field": "t", "type": "keyword"}], "aliases": ["live"]}
    planned = plan(desired(spec), observed())
    assert [type(step).__name__ for step in planned.steps] == [
        "CreateCollection",
        "UpdateCollection",
        "CreatePayloadIndex",
        "MoveAliases",
    ]
    create = planned.steps[0]
    assert isinstance(create, CreateCollection)
    assert create.body == {"vectors": {"size": 4, "distance": "Dot"}, "metadata": {OWNER_KEY: OWNER}}


def test_more_replicas_than_peers_are_refused_before_anything_is_made() -> None:
    """The message has both numbers and both remedies."""
    planned = plan(desired({"replicationFactor": 4}), observed())
    (blocked,) = planned.blocked
    assert planned.steps == ()
    assert blocked.guard is CollectionGuard.TOO_FEW_PEERS
    assert "replicationFactor is 4, the cluster has 3 peers" in blocked.message


def test_nothing_is_created_while_a_peer_does_not_answer() -> None:
    """Qdrant would put shards on the peer that is down."""
    (blocked,) = plan(desired(), observed(answering=2)).blocked
    assert blocked.guard is CollectionGuard.PEERS_UNREACHABLE
    assert "2 of 3 peers answer" in blocked.message


def test_nothing_is_created_before_all_wanted_peers_have_joined() -> None:
    """A cluster of five that has three members so far is waited for, even for a factor of four."""
    wanted = replace(desired({"replicationFactor": 4}), wanted_peers=5)
    (blocked,) = plan(wanted, observed()).blocked
    assert blocked.guard is CollectionGuard.PEERS_UNREACHABLE


def test_the_older_object_has_the_name() -> None:
    """The younger is told whose the name is, and does nothing; when it goes, it deletes nothing."""
    wanted = desired({"deletionPolicy": "Delete"}, has_finalizer=True, claims=Claims(rival="default/older"))
    planned = plan(wanted, observed(live()))
    assert planned.steps == ()
    assert planned.blocked[0].guard is CollectionGuard.NAME_CLASH
    assert "default/older" in planned.blocked[0].message
    deletion = plan(replace(wanted, deleting=True), observed(live()))
    assert [type(step) for step in deletion.steps] == [RemoveFinalizer]


def test_a_name_that_is_an_alias_is_taken() -> None:
    """Qdrant refuses a collection with an alias' name; the message says what the alias names."""
    (blocked,) = plan(desired(), observed(aliases={"docs": "other"})).blocked
    assert blocked.guard is CollectionGuard.NAME_CLASH
    assert "alias of collection other" in blocked.message


def test_a_matching_collection_is_adopted() -> None:
    """Taking over changes nothing but the mark; what is missing beside it is then made."""
    spec = {"hnsw": {"m": 16}, "payloadIndexes": [{"field": "t", "type": "keyword"}]}
    planned = plan(desired(spec), observed(live(owner=None)))
    assert [type(step).__name__ for step in planned.steps] == ["TakeOver", "CreatePayloadIndex"]


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        ({"hnsw": {"m": 32}}, "hnsw.m is 16, wanted 32"),
        ({"vectors": {"size": 8, "distance": "Dot"}}, "vectors.size is 4, wanted 8"),
        ({"replicationFactor": 2}, "replicationFactor is 1, wanted 2"),
        (
            {"payloadIndexes": [{"field": "t", "type": "integer"}]},
            "payloadIndexes[t] type: keyword -> integer",
        ),
        ({"adoption": "Never"}, "spec.adoption is Never"),
    ],
)
def test_a_collection_that_differs_is_not_adopted(spec: dict[str, Any], difference: str) -> None:
    """The refusal names every field that differs; the collection is not touched."""
    theirs = live(owner=None, indexes={"t": {"data_type": "keyword", "points": 0}})
    planned = plan(desired(spec), observed(theirs))
    assert planned.steps == ()
    (blocked,) = planned.blocked
    assert blocked.guard is CollectionGuard.ADOPTION_REFUSED
    assert difference in blocked.message


LONG = "知识库" * 29
"""87 characters, 261 bytes: Qdrant 1.19.0 commits it, and then consensus stops on every peer for good."""


@pytest.mark.parametrize("name", [LONG, "a" * 181, "é" * 91, ".", ".."])
def test_a_name_that_qdrant_cannot_make_files_for_is_never_sent(name: str) -> None:
    """The CRD refuses it; one that is older than the operator does not."""
    planned = plan(desired(name=name), observed())
    assert planned.steps == ()
    assert [one.guard for one in planned.blocked] == [CollectionGuard.INVALID_SPEC]
    assert "spec.name" in planned.blocked[0].message


@pytest.mark.parametrize("name", ["a" * 180, "é" * 90, "知" * 60, "..."])
def test_the_longest_name_is_counted_in_bytes(name: str) -> None:
    """What is at the bound is made."""
    assert isinstance(plan(desired(name=name), observed()).steps[0], CreateCollection)


def test_a_collection_that_has_a_long_name_already_is_left_as_it_is_and_reconciled() -> None:
    """The bound holds for what is made; a collection that is there is changed as before."""
    planned = plan(desired({"replicationFactor": 2}, name="a" * 190), observed(live()))
    assert [type(step) for step in planned.steps] == [UpdateCollection]


@pytest.mark.parametrize("alias", [LONG, ".."])
def test_an_alias_that_could_not_be_a_collection_is_never_made(alias: str) -> None:
    """An alias may become a collection's name later, and stands in paths as one does."""
    planned = plan(desired({"aliases": [alias]}), observed(live()))
    assert planned.steps == ()
    assert planned.blocked[0].guard is CollectionGuard.INVALID_SPEC
    assert "spec.aliases" in planned.blocked[0].message
