"""Which changes of settings are made in place, and which are refused with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_operator.domain.collection.planner import plan
from qdrant_operator.domain.collection.steps import (
    CollectionGuard,
    MoveAliases,
    UpdateCollection,
)
from qdrant_operator.domain.common.plan import Plan
from tests.domain.collection_model import desired, live, observed


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
