"""Laws and cases of the collection planner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from qdrant_operator.domain.collection.observed import Absent, Live
from qdrant_operator.domain.collection.ownership import Claims
from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.requests import OWNER_KEY
from qdrant_operator.domain.collection.settings import differences
from qdrant_operator.domain.collection.steps import (
    AddFinalizer,
    CollectionGuard,
    CreateCollection,
    DeleteCollection,
    MoveAliases,
    RemoveFinalizer,
    TakeOver,
    UpdateCollection,
)
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.qdrant.views import Silent
from tests.domain.collection_model import OWNER, World, after, desired, live, observed, worlds

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


def test_only_what_was_declared_is_sent() -> None:
    """A PATCH has the changed settings and no other; quantization, which Qdrant replaces whole, keeps the rest."""
    spec = {"hnsw": {"m": 32, "efConstruct": 100}, "quantization": {"scalar": {"alwaysRam": True}}}
    told = live({"quantization_config": {"scalar": {"type": "int8", "quantile": 0.9}}})
    (step,) = plan(desired(spec), observed(told)).steps
    assert isinstance(step, UpdateCollection)
    assert step.fields == ("hnsw.m", "quantization")
    assert step.body == {
        "hnsw_config": {"m": 32},
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.9, "always_ram": True}},
    }


def test_another_quantization_method_inherits_nothing() -> None:
    """Changing the method sends the new one alone."""
    told = live({"quantization_config": {"scalar": {"type": "int8", "quantile": 0.9}}})
    (step,) = plan(desired({"quantization": {"binary": {}}}), observed(told)).steps
    assert isinstance(step, UpdateCollection)
    assert step.body == {"quantization_config": {"binary": {}}}


IMMUTABLE: list[tuple[dict[str, Any], str, str, str]] = [
    ({"vectors": {"size": 8, "distance": "Dot"}}, "vectors.size", "4", "8"),
    ({"vectors": {"size": 4, "distance": "Cosine"}}, "vectors.distance", "Dot", "Cosine"),
    (
        {"vectors": {"size": 4, "distance": "Dot", "datatype": "uint8"}},
        "vectors.datatype",
        "not set",
        "uint8",
    ),
    (
        {"vectors": {"size": 4, "distance": "Dot", "multivector": {"comparator": "max_sim"}}},
        "vectors.multivector",
        "not set",
        "{comparator: max_sim}",
    ),
    ({"shardNumber": 6}, "shardNumber", "3", "6"),
    ({"wal": {"walCapacityMb": 64}}, "wal.walCapacityMb", "32", "64"),
    (
        {"vectors": None, "namedVectors": {"a": {"size": 4, "distance": "Dot"}}},
        "namedVectors.a",
        "not set",
        "{size: 4, distance: Dot}",
    ),
]


@pytest.mark.parametrize(("spec", "field", "actual", "wanted"), IMMUTABLE, ids=lambda value: str(value)[:24])
def test_a_change_that_qdrant_cannot_make_is_refused_in_words(
    spec: dict[str, Any], field: str, actual: str, wanted: str
) -> None:
    """The refusal names the field, both values and what would be needed; nothing is done."""
    planned = plan(desired(spec), observed(live()))
    assert planned.steps == ()
    refused = {one.guard: one.message for one in planned.blocked}
    assert set(refused) == {CollectionGuard.IMMUTABLE_FIELD_CHANGED}
    messages = " ".join(one.message for one in planned.blocked)
    assert f"{field} is {actual}, wanted {wanted}" in messages
    assert "create another collection, copy the points and move the alias" in messages


VECTOR = {"size": 4, "distance": "Dot"}
NAMED: dict[str, Any] = {"vectors": {"a": VECTOR}}
"""A collection whose vectors have names."""


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"sparseVectors": {"bm25": {}}}, "vectors/bm25"),
        ({"vectors": None, "namedVectors": {"a": VECTOR, "b": VECTOR}}, "vectors/b"),
    ],
)
def test_a_further_vector_is_refused_with_the_call_that_adds_it(spec: dict[str, Any], path: str) -> None:
    """Qdrant can since 1.18, and nobody needs to copy points for it."""
    planned = plan(desired(spec), observed(live(NAMED if "namedVectors" in spec else {})))
    assert planned.steps == ()
    assert [one.guard for one in planned.blocked] == [CollectionGuard.IMMUTABLE_FIELD_CHANGED]
    message = planned.blocked[0].message
    assert f"PUT /collections/<collection>/{path}" in message
    assert "copy the points" not in message
    assert "cannot change it" not in message


@pytest.mark.parametrize(
    "told", [{"vectors": {"a": VECTOR, "b": VECTOR}}, {**NAMED, "sparse_vectors": {"b": {}}}]
)
def test_a_vector_that_an_application_added_blocks_nothing(told: dict[str, Any]) -> None:
    """Only what is written is compared."""
    spec = {"vectors": None, "namedVectors": {"a": VECTOR}}
    assert plan(desired(spec), observed(live(told))) == Plan()


def test_a_refused_change_holds_nothing_else_back() -> None:
    """Indexes and aliases are kept in line although the size cannot change."""
    spec = {"vectors": {"size": 8, "distance": "Dot"}, "aliases": ["live"]}
    planned = plan(desired(spec), observed(live()))
    assert planned.steps == (MoveAliases("docs", ("live",)),)
    assert [one.guard for one in planned.blocked] == [CollectionGuard.IMMUTABLE_FIELD_CHANGED]


def test_a_spec_that_spells_out_float32_asks_for_no_change() -> None:
    """A default that Qdrant leaves out of its answer is not taken for a change of an immutable field."""
    spec = {"vectors": {"size": 4, "distance": "Dot", "datatype": "float32"}}
    assert plan(desired(spec), observed(live())) == Plan()


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


def test_a_paused_cluster_is_observed_and_not_touched() -> None:
    """Every step is shown as held back by the pause."""
    planned = plan(desired({"hnsw": {"m": 32}, "aliases": ["live"]}, paused=True), observed(live()))
    assert planned.steps == ()
    assert [one.guard for one in planned.blocked] == [CollectionGuard.CLUSTER_PAUSED] * 2


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
