"""What QdrantCollections ask of placement, by collection and key: the older claim counts, unreadable specs do not."""

from __future__ import annotations

from typing import Any

from qdrant_operator.domain.common.kinds import Manifest
from qdrant_operator.domain.placement.wants import KeyWant, wants


def declared(name: str, keys: list[Any], /, *, made: str = "2026-01-02", **spec: Any) -> Manifest:
    """A QdrantCollection with these shard keys."""
    sharding = {"method": "Custom", "keys": keys}
    body = {
        "clusterRef": {"name": "vectors"},
        "vectors": {"size": 4, "distance": "Dot"},
        "sharding": sharding,
    }
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": made}
    return {"metadata": meta, "spec": {**body, **spec}}


def test_each_key_says_its_factor_and_its_peers() -> None:
    """Factor, pods and zone are found by the collection's name in Qdrant; 7 and "7" are two keys."""
    keys = [
        {"key": "eu", "replicationFactor": 3, "peers": {"zone": "eu-1"}},
        {"key": 7, "peers": {"pods": ["vectors-0", "vectors-2"]}},
        {"key": "7"},
    ]
    assert wants([declared("docs", keys, name="in qdrant")]) == {
        ("in qdrant", "eu"): KeyWant(factor=3, zone="eu-1"),
        ("in qdrant", 7): KeyWant(pods=frozenset({"vectors-0", "vectors-2"})),
        ("in qdrant", "7"): KeyWant(),
    }


def test_the_older_claim_counts() -> None:
    """Two objects for one collection: the keys of the younger do not count, in whatever order they are listed."""
    older = declared("docs", [{"key": "a"}], made="2026-01-01")
    younger = declared("copy", [{"key": "b"}], name="docs")
    assert wants([younger, older]) == wants([older, younger]) == {("docs", "a"): KeyWant()}


def test_unreadable_specs_and_collections_without_keys_ask_for_nothing() -> None:
    """A spec that the schema rejects is skipped and the others count."""
    broken = declared("broken", [{"key": True}])
    plain = declared("plain", [], sharding={"method": "Auto"})
    bare = declared("bare", [], sharding=None)
    assert wants([broken, plain, bare, declared("docs", [{"key": 1}])]) == {("docs", 1): KeyWant()}
