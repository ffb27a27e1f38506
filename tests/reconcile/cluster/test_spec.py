"""A spec is parsed once for each text of it, and never costs a pass more than its limits."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.reconcile.cluster.spec import parse_spec
from qdrant_operator.reconcile.ports import Manifest

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def cluster(**spec: Any) -> Manifest:
    """A QdrantCluster with these fields."""
    return {"metadata": {"name": "vectors", "uid": "uid-1"}, "spec": {"version": "v1.19.0", **spec}}


def test_the_same_spec_is_not_parsed_again_and_another_one_is() -> None:
    """A pass costs a comparison of texts; an edit, or another object with other fields, is seen at once."""
    config = {"storage": {"performance": {"max_search_threads": 2}}}
    first = parse_spec(cluster(config=config), NOW)
    assert parse_spec(copy.deepcopy(cluster(config=config)), NOW) is first
    assert parse_spec(cluster(config=config, replicas=5), NOW).replicas == 5
    assert parse_spec(cluster(config={}), NOW).config == {}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"config": {"a": "x" * 1_400_000}}, "InvalidConfig", "spec.config has more than 64 KiB"),
        (
            {"podTemplate": {"metadata": {"annotations": {"a": "x" * 70_000}}}},
            "InvalidSpec",
            "spec.podTemplate has more than 64 KiB",
        ),
        (
            {"podTemplate": {"spec": {"affinity": {"nodeAffinity": {"a": ["x" * 100] * 1000}}}}},
            "InvalidSpec",
            "spec.podTemplate has more than 64 KiB",
        ),
        (
            {"podTemplate": {"spec": {"env": [{"name": f"A{n}", "value": "x" * 3000} for n in range(30)]}}},
            "InvalidSpec",
            "spec.podTemplate has more than 64 KiB",
        ),
        (
            {"podTemplate": {"spec": {"env": [{"name": "qdrant__service__api_key", "value": ""}]}}},
            "InvalidSpec",
            "qdrant__service__api_key would override",
        ),
        ({"config": {"cluster.enabled": False}}, "InvalidConfig", "spec.config.cluster.enabled"),
    ],
)
def test_what_is_too_large_or_not_the_users_is_refused_in_every_pass(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    """The condition stays until the spec is corrected: a refusal is not remembered as a success."""
    for _ in range(2):
        with pytest.raises(Refused, match=words) as refused:
            parse_spec(cluster(**spec), NOW)
        assert refused.value.reason == reason


def test_a_spec_that_is_nested_without_end_is_refused_in_words() -> None:
    """Python's own limit is an error that no loop expects."""
    tree: dict[str, Any] = {}
    for _ in range(100_000):
        tree = {"a": tree}
    with pytest.raises(Refused, match="nested too deep"):
        parse_spec(cluster(config=tree), NOW)
