"""Payload indexes: declared against built."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.api import CollectionSpec
from qdrant_operator.domain.collection.indexes import field_path, index_refusals, plan_indexes
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    CreatePayloadIndex,
    DropPayloadIndex,
    ReplacePayloadIndex,
)
from qdrant_operator.domain.common.plan import Plan

NOBODY: frozenset[str] = frozenset()


def spec(*indexes: dict[str, Any], prune: bool = False) -> CollectionSpec:
    """A spec with these indexes."""
    body = {"clusterRef": {"name": "v"}, "vectors": {"size": 4, "distance": "Dot"}, "payloadIndexes": indexes}
    return CollectionSpec.model_validate({**body, "prunePayloadIndexes": prune})


def built(kind: str, **params: Any) -> dict[str, Any]:
    """An entry of payload_schema as Qdrant 1.19 writes it."""
    return {"data_type": kind, "params": {"type": kind, **params}, "points": 7}


def test_a_missing_index_is_built_with_what_was_declared() -> None:
    """The request has the type and the options that were set."""
    planned = plan_indexes(spec({"field": "t", "type": "keyword", "isTenant": True}), "docs", {}, NOBODY)
    assert planned.steps == (CreatePayloadIndex("docs", "t", {"type": "keyword", "is_tenant": True}),)


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ({"type": "integer"}, built("integer", lookup=None, range=None, is_principal=None)),
        ({"type": "integer", "lookup": True}, built("integer", lookup=None, range=None)),
        ({"type": "integer", "lookup": True}, {"data_type": "integer", "points": 0}),
        ({"type": "keyword"}, built("keyword", is_tenant=True, on_disk=True)),
        ({"type": "text", "tokenizer": "word", "lowercase": True}, built("text", tokenizer="word")),
        ({"type": "datetime", "isPrincipal": False}, built("datetime", is_principal=None)),
    ],
)
def test_an_index_that_says_what_was_declared_is_left_alone(
    index: dict[str, Any], told: dict[str, Any]
) -> None:
    """Nulls mean Qdrant's defaults, and options nobody declared are Qdrant's own."""
    assert plan_indexes(spec({"field": "f", **index}), "docs", {"f": told}, NOBODY) == Plan()


def test_another_type_is_a_replacement_with_a_name() -> None:
    """Qdrant would replace the index without a word, so the step says it; old options are not carried over."""
    told = {"tenant": built("keyword", is_tenant=True)}
    (step,) = plan_indexes(spec({"field": "tenant", "type": "integer"}), "docs", told, NOBODY).steps
    assert step == ReplacePayloadIndex("docs", "tenant", {"type": "integer"}, "type: keyword -> integer")
    assert "replace the index on payload field tenant" in str(step)


def test_another_option_keeps_the_options_nobody_declared() -> None:
    """The new index has the declared option, and what the old one had beside it."""
    told = {"body": built("text", tokenizer="prefix", lowercase=None, on_disk=True)}
    wanted = spec({"field": "body", "type": "text", "lowercase": False})
    (step,) = plan_indexes(wanted, "docs", told, NOBODY).steps
    assert isinstance(step, ReplacePayloadIndex)
    assert step.schema == {"type": "text", "tokenizer": "prefix", "on_disk": True, "lowercase": False}
    assert step.changes == "lowercase: True -> False"


def test_an_index_that_is_being_built_is_waited_for() -> None:
    """Qdrant shows nothing of an index until it is built: it is not asked for again meanwhile."""
    wanted = spec({"field": "t", "type": "keyword"}, {"field": "u", "type": "uuid"})
    planned = plan_indexes(wanted, "docs", {}, frozenset({"t"}))
    assert [step.field for step in planned.steps if isinstance(step, CreatePayloadIndex)] == ["u"]
    assert [one.guard for one in planned.blocked] == [CollectionGuard.INDEX_BUILDING]


def test_undeclared_indexes_are_kept_unless_pruning_is_wished() -> None:
    """Only prunePayloadIndexes drops anything; an index whose drop was just asked for is not dropped twice."""
    told = {"a": built("keyword"), "b": built("float"), "c": built("bool")}
    assert plan_indexes(spec({"field": "a", "type": "keyword"}), "docs", told, NOBODY) == Plan()
    pruned = plan_indexes(spec({"field": "a", "type": "keyword"}, prune=True), "docs", told, frozenset({"c"}))
    assert pruned.steps == (DropPayloadIndex("docs", "b"),)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"tenant"', "tenant"),
        ('author."name"', "author.name"),
        ('author."first name"', 'author."first name"'),
        ("tags[].id", "tags[].id"),
    ],
)
def test_a_field_is_known_by_the_name_qdrant_gives_back(written: str, told: str) -> None:
    """Needless quotes are dropped as Qdrant drops them, so the index is found again."""
    assert field_path(written) == told
    wanted = spec({"field": written, "type": "keyword"})
    assert plan_indexes(wanted, "docs", {told: built("keyword")}, NOBODY) == Plan()


@pytest.mark.parametrize("field", ["bad field!", "a..b", "a.", ".a", 'a"b', "a[b]", "[]"])
def test_a_field_that_is_no_path_is_refused_in_words(field: str) -> None:
    """Qdrant's own message would not name the index."""
    (sentence,) = index_refusals(spec({"field": field, "type": "keyword"}))
    assert repr(field) in sentence


@pytest.mark.parametrize("field", ["a", "a.b", "a-b_c", "tags[]", "a[0].b", 'a."b c"[]', "größe"])
def test_paths_that_qdrant_takes_are_taken(field: str) -> None:
    """Keys, quoted keys, list entries."""
    assert not list(index_refusals(spec({"field": field, "type": "keyword"})))


def test_one_field_in_two_spellings_is_refused() -> None:
    """Two indexes on one field would replace each other for ever."""
    twice = spec({"field": "a", "type": "keyword"}, {"field": '"a"', "type": "integer"})
    (sentence,) = index_refusals(twice)
    assert "is listed twice" in sentence
