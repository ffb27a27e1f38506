"""Replication factor and shard keys on a real API server: both loops together, with points in the collection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.peers import Peers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
CLUSTER, COLLECTION = Kind.CLUSTER, Kind.COLLECTION


def test_a_replication_factor_is_raised_and_lowered_live(
    kube: Kube, home: str, peers: Peers, docs: str
) -> None:
    """1 → 2 with a write factor of 2, and back to 1: each shard has its active replicas, every point is there."""
    kube.create(manifests.collection(docs, replicationFactor=1), home)
    kube.wait_ready(COLLECTION, home, docs)
    peers.upsert(docs, range(1, 201))
    assert _replicas(peers, docs) == [1, 1, 1]
    kube.patch(COLLECTION, home, docs, {"spec": {"replicationFactor": 2, "writeConsistencyFactor": 2}})
    _until(kube, home, docs, lambda: _replicas(peers, docs) == [2, 2, 2])
    _until(kube, home, docs, lambda: _ready(kube, home, docs, "6/6"))
    assert _factors(peers, docs) == {(2, 2)}
    assert {peers.count(docs, pod) for pod in peers.pods()} == {200}
    kube.patch(COLLECTION, home, docs, {"spec": {"replicationFactor": 1, "writeConsistencyFactor": None}})
    _until(kube, home, docs, lambda: _replicas(peers, docs) == [1, 1, 1])
    _until(kube, home, docs, lambda: _ready(kube, home, docs, "3/3"))
    assert _factors(peers, docs) == {(1, 1)}
    assert {peers.count(docs, pod) for pod in peers.pods()} == {200}


def test_a_factor_above_the_peers_changes_nothing(kube: Kube, home: str, peers: Peers, docs: str) -> None:
    """The condition has both numbers, and Qdrant was not told."""
    kube.create(manifests.collection(docs), home)
    kube.wait_ready(COLLECTION, home, docs)
    kube.patch(COLLECTION, home, docs, {"spec": {"replicationFactor": 4}})
    said = kube.wait_reason(COLLECTION, home, docs, "Ready", "TooFewPeers")
    assert "replicationFactor is 4, the cluster has 3 peers" in said
    assert _factors(peers, docs) == {(2, 1)}


def test_a_shard_key_is_made_moved_and_removed(kube: Kube, home: str, peers: Peers, docs: str) -> None:
    """Placed on its pod with its point, moved to another with it, kept while it holds it, gone with consent."""
    eu: Manifest = {"key": "eu", "replicationFactor": 1, "peers": {"pods": ["vectors-0"]}}
    sharding: Manifest = {"method": "Custom", "keys": [eu, {"key": 7}]}
    kube.create(manifests.collection(docs, shardNumber=None, sharding=sharding), home)
    kube.wait_ready(COLLECTION, home, docs)
    assert _holders(peers, docs, "eu") == ["vectors-0"]
    assert len(_holders(peers, docs, 7)) == 2
    point = {"points": [{"id": 1, "vector": [1.0, 0.0, 0.5, 0.25]}], "shard_key": "eu"}
    peers.ask("vectors-1", "PUT", f"/collections/{docs}/points?wait=true", point)
    moved = {**eu, "peers": {"pods": ["vectors-2"]}}
    kube.patch(COLLECTION, home, docs, {"spec": {"sharding": {**sharding, "keys": [moved, {"key": 7}]}}})
    _until(kube, home, docs, lambda: _holders(peers, docs, "eu") == ["vectors-2"])
    assert peers.count(docs) == 1
    kube.patch(COLLECTION, home, docs, {"spec": {"sharding": {**sharding, "keys": [{"key": 7}]}}})
    said = kube.wait_reason(COLLECTION, home, docs, "Ready", "ShardKeyHoldsPoints")
    assert "shard key eu is no longer declared and holds 1 points" in said
    assert peers.count(docs) == 1
    kube.patch(COLLECTION, home, docs, {"spec": {"sharding": {"onKeyRemoval": "Delete"}}})
    _until(kube, home, docs, lambda: _holders(peers, docs, "eu") == [])
    kube.wait_ready(COLLECTION, home, docs)


def _until(kube: Kube, home: str, docs: str, look: Callable[[], bool]) -> None:
    eventually(look, 60, partial(kube.tell, COLLECTION, home, docs))


def _ready(kube: Kube, home: str, docs: str, shards: str) -> bool:
    """Whether it is Ready with so many sound replicas of wanted ones."""
    found = kube.get(COLLECTION, home, docs)
    status: Manifest = (found or {}).get("status") or {}
    ready = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return status.get("shardsSound") == shards and ready["Ready"] == ready["Replicated"] == "True"


def _local(peers: Peers, name: str) -> dict[str, list[Manifest]]:
    """Active replicas by pod."""
    told = {pod: peers.ask(pod, "GET", f"/collections/{name}/cluster") for pod in sorted(peers.pods())}
    return {
        pod: [one for one in answer["local_shards"] if one["state"] == "Active"]
        for pod, answer in told.items()
    }


def _replicas(peers: Peers, name: str) -> list[int]:
    """Active replicas of each of three shards."""
    held = [one["shard_id"] for local in _local(peers, name).values() for one in local]
    return [held.count(shard) for shard in range(3)]


def _holders(peers: Peers, name: str, key: int | str) -> list[str]:
    """Pods whose peers hold a shard key."""
    return [
        pod for pod, local in _local(peers, name).items() if any(one.get("shard_key") == key for one in local)
    ]


def _factors(peers: Peers, name: str) -> set[tuple[int, int]]:
    """Replication and write factor, as every peer tells them."""
    told = [peers.ask(pod, "GET", f"/collections/{name}")["config"]["params"] for pod in peers.pods()]
    return {(one["replication_factor"], one["write_consistency_factor"]) for one in told}
