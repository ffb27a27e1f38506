"""A QdrantCollection's life on a real API server: made, adopted, changed, indexed, renamed, let go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Self

import httpx
import pytest

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.cluster import Sandbox
from sandbox.kubectl import kubectl
from tests.integration.support import manifests
from tests.integration.support.audit import operator_writes
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
CLUSTER, COLLECTION, SNAPSHOT, SCHEDULE = Kind.CLUSTER, Kind.COLLECTION, Kind.SNAPSHOT, Kind.SCHEDULE
USERS_KINDS = (CLUSTER, COLLECTION, SNAPSHOT, SCHEDULE)
SHAPE = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2, "replication_factor": 2}
"""A collection made by hand."""


def test_a_collection_is_made_as_declared(kube: Kube, home: str, peers: Peers, docs: str) -> None:
    """Every declared setting stands in Qdrant, each shard has its replicas, and status says so."""
    declared: dict[str, Any] = {
        "hnsw": {"m": 24},
        "optimizers": {"defaultSegmentNumber": 2},
        "onDiskPayload": True,
    }
    kube.create(manifests.collection(docs, **declared), home)
    found = kube.wait_ready(COLLECTION, home, docs)
    config = peers.ask("vectors-0", "GET", f"/collections/{docs}")["config"]
    assert config["params"]["vectors"] == {"size": 4, "distance": "Dot"}
    assert (config["params"]["shard_number"], config["params"]["replication_factor"]) == (3, 2)
    assert (config["hnsw_config"]["m"], config["optimizer_config"]["default_segment_number"]) == (24, 2)
    assert config["params"]["on_disk_payload"] is True
    assert found["status"]["shardsSound"] == "6/6"
    assert found["status"]["owned"] is True
    assert [_holders(peers, docs, shard) for shard in range(3)] == [2, 2, 2]


def test_a_collection_made_by_hand_is_adopted_when_it_matches(
    kube: Kube, home: str, peers: Peers, docs: str
) -> None:
    """It keeps its points; what is declared beyond it is added."""
    peers.ask("vectors-0", "PUT", f"/collections/{docs}", SHAPE)
    peers.upsert(docs, range(1, 101))
    indexes = [{"field": "tenant", "type": "keyword"}]
    kube.create(manifests.collection(docs, shardNumber=2, payloadIndexes=indexes), home)
    assert kube.wait_ready(COLLECTION, home, docs)["status"]["owned"] is True
    assert peers.count(docs) == 100
    assert "tenant" in peers.ask("vectors-0", "GET", f"/collections/{docs}")["payload_schema"]


def test_a_collection_made_by_hand_is_left_alone_when_it_differs(
    kube: Kube, home: str, peers: Peers, docs: str
) -> None:
    """The condition names every difference; nothing of the collection changes, nor goes with the object."""
    peers.ask("vectors-0", "PUT", f"/collections/{docs}", SHAPE)
    before = peers.ask("vectors-0", "GET", f"/collections/{docs}")["config"]
    vectors = {"size": 8, "distance": "Dot"}
    indexes = [{"field": "tenant", "type": "keyword"}]
    kube.create(
        manifests.collection(
            docs, vectors=vectors, deletionPolicy="Delete", payloadIndexes=indexes, aliases=[f"{docs}-live"]
        ),
        home,
    )
    said = kube.wait_reason(COLLECTION, home, docs, "Ready", "AdoptionRefused")
    assert f"collection {docs} already exists and differs from the spec" in said
    assert "vectors.size is 4, wanted 8" in said
    assert "shardNumber is 2, wanted 3" in said
    assert "change the spec to match the collection, or choose another spec.name" in said
    _delete(kube, home, docs)
    after = peers.ask("vectors-0", "GET", f"/collections/{docs}")
    assert (after["config"], after["payload_schema"]) == (before, {})


def test_what_qdrant_can_change_is_changed_in_place(kube: Kube, home: str, peers: Peers, docs: str) -> None:
    """The settings follow the spec; points and shards stay where they are."""
    kube.create(manifests.collection(docs), home)
    kube.wait_ready(COLLECTION, home, docs)
    peers.upsert(docs, range(1, 101))
    changes = {
        "hnsw": {"m": 32, "efConstruct": 120},
        "optimizers": {"indexingThreshold": 5000},
        "onDiskPayload": True,
        "writeConsistencyFactor": 2,
        "quantization": {"scalar": {"type": "int8"}},
    }
    kube.patch(COLLECTION, home, docs, {"spec": changes})
    kube.wait_ready(COLLECTION, home, docs)
    config = peers.ask("vectors-0", "GET", f"/collections/{docs}")["config"]
    assert (config["hnsw_config"]["m"], config["hnsw_config"]["ef_construct"]) == (32, 120)
    assert config["optimizer_config"]["indexing_threshold"] == 5000
    assert config["params"]["write_consistency_factor"] == 2
    assert config["params"]["on_disk_payload"] is True
    assert config["quantization_config"]["scalar"]["type"] == "int8"
    assert peers.count(docs) == 100


def test_payload_indexes_are_added_replaced_and_pruned(
    kube: Kube, home: str, peers: Peers, docs: str
) -> None:
    """Undeclared ones stay until prunePayloadIndexes says otherwise."""
    kube.create(manifests.collection(docs, payloadIndexes=[{"field": "a", "type": "keyword"}]), home)
    kube.wait_ready(COLLECTION, home, docs)
    assert _indexes(peers, docs) == {"a": "keyword"}
    byhand = {"field_name": "byhand", "field_schema": "float"}
    peers.ask("vectors-0", "PUT", f"/collections/{docs}/index?wait=true", byhand)
    _declare_indexes(
        kube, home, docs, [{"field": "a", "type": "integer"}, {"field": "b", "type": "datetime"}]
    )
    wanted = {"a": "integer", "b": "datetime", "byhand": "float"}
    eventually(lambda: _indexes(peers, docs) == wanted, 60, lambda: str(_indexes(peers, docs)))
    kube.patch(COLLECTION, home, docs, {"spec": {"prunePayloadIndexes": True}})
    _declare_indexes(kube, home, docs, [{"field": "b", "type": "datetime"}])
    eventually(lambda: _indexes(peers, docs) == {"b": "datetime"}, 60, lambda: str(_indexes(peers, docs)))
    kube.wait_ready(COLLECTION, home, docs)


def test_an_alias_moves_between_two_collections_without_a_gap(
    kube: Kube, home: str, peers: Peers, docs: str
) -> None:
    """A reader of the alias never meets a moment without it, and sees the new collection in the end."""
    old, new, alias = f"{docs}-1", f"{docs}-2", f"{docs}-live"
    kube.create(manifests.collection(old, aliases=[alias]), home)
    kube.create(manifests.collection(new), home)
    for name in (old, new):
        kube.wait_ready(COLLECTION, home, name)
    peers.upsert(old, range(1, 11))
    peers.upsert(new, range(1, 31))
    with _Reader(peers, alias) as reader:
        eventually(lambda: reader.seen == {10}, 10)
        kube.patch(COLLECTION, home, new, {"spec": {"aliases": [alias]}})
        said = kube.wait_reason(COLLECTION, home, new, "Synced", "AliasClash")
        assert f"alias {alias} belongs to QdrantCollection {home}/{old}" in said
        assert reader.seen == {10}
        kube.patch(COLLECTION, home, old, {"spec": {"aliases": []}})
        eventually(lambda: reader.last == 30, 30, lambda: kube.tell(COLLECTION, home, new))
    assert reader.failed == []
    kube.wait_ready(COLLECTION, home, new)
    eventually(lambda: not kube.wait_ready(COLLECTION, home, old)["status"].get("aliases"), 20)


@pytest.mark.parametrize(("policy", "remains"), [("Delete", False), ("Retain", True)])
def test_deletion_follows_the_policy(
    kube: Kube, home: str, peers: Peers, docs: str, policy: str, remains: bool
) -> None:
    """With Delete the collection and its alias go, with Retain both stay, points and all."""
    alias = f"{docs}-live"
    kube.create(manifests.collection(docs, deletionPolicy=policy, aliases=[alias]), home)
    kube.wait_ready(COLLECTION, home, docs)
    peers.upsert(docs, range(1, 11))
    _delete(kube, home, docs)
    assert (docs in _collections(peers)) is remains
    assert (alias in _aliases(peers)) is remains
    assert not remains or peers.count(docs) == 10


def test_the_operator_writes_only_status_and_its_finalizer(
    sandbox: Sandbox, kube: Kube, home: str, docs: str
) -> None:
    """By managedFields and the audit log: no annotation, no label, no field of spec on users' objects."""
    kube.create(manifests.collection(docs, deletionPolicy="Delete"), home)
    kube.wait_ready(COLLECTION, home, docs)
    found = [one for kind in USERS_KINDS for one in kube.all(kind, home)]
    assert {one["kind"] for one in found} >= {"QdrantCluster", "QdrantCollection"}
    for one in found:
        assert "annotations" not in one["metadata"], one["metadata"]
        assert {key for key in _written(one) if key not in ALLOWED} == set()
    assert any(_written(one) for one in found), "managedFields shows the operator's writes"
    assert sandbox.audit_log is not None
    writes = operator_writes(sandbox.audit_log, home)
    theirs = [write for write in writes if "/qdrantclusters/" in write or "/qdrantcollections/" in write]
    bare = [write for write in theirs if not write.partition("?")[0].endswith("/status")]
    assert theirs != bare
    assert {write.split()[0] for write in bare} <= {"patch"}
    assert all("/qdrantcollections/" in write for write in bare), "a finalizer is put on collections only"


ALLOWED = {("status",), ("metadata", "finalizers")}
"""What the operator may write on an object of a user."""


def test_a_deletion_outlives_operators_killed_in_the_middle(
    own_operator: Operator, kube: Kube, namespace: str
) -> None:
    """Ten collections with deletionPolicy Delete: kills at random moments, and still each is gone, twice."""
    own_operator.start()
    kube.create(manifests.cluster(), namespace)
    kube.wait_ready(CLUSTER, namespace, "vectors", 90)
    doomed = [f"doomed-{number}" for number in range(10)]
    for name in doomed:
        kube.create(manifests.collection(name, deletionPolicy="Delete", shardNumber=1), namespace)
    for name in doomed:
        kube.wait_ready(COLLECTION, namespace, name)
    own_operator.kill()
    for name in doomed:
        kube.delete(COLLECTION, namespace, name)
    assert len(kube.all(COLLECTION, namespace)) == 10, "the finalizer holds them while no operator runs"
    for _ in range(4):
        own_operator.start(wait=False)
        time.sleep(random.uniform(0.8, 2.0))
        own_operator.kill()
    own_operator.start()
    eventually(lambda: kube.all(COLLECTION, namespace) == [], 60)
    assert _collections(Peers(kube, namespace)) == set()


def test_a_collection_lets_go_when_its_cluster_is_deleted_first(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """DeletionPolicy Delete has nothing left to do then, and never hangs."""
    kube.create(manifests.cluster(replicas=1), namespace)
    kube.create(manifests.collection(replicationFactor=1, deletionPolicy="Delete"), namespace)
    kube.wait_ready(COLLECTION, namespace, "docs", 60)
    kube.delete(CLUSTER, namespace, "vectors")
    eventually(lambda: Peers(kube, namespace).pods() == {}, 60)
    assert kube.get(COLLECTION, namespace, "docs") is not None
    _delete(kube, namespace, "docs")


def test_a_namespace_with_everything_in_it_is_deleted_in_one_go(
    operator: Operator, sandbox: Sandbox, kube: Kube, namespace: str
) -> None:
    """Cluster, collections and snapshots with deletionPolicy Delete, a schedule: no finalizer hangs.

    Kubernetes looks a second time after half of the pods' termination grace (120 s), whatever we do.
    """
    _fill(sandbox, kube, namespace)
    assert [len(kube.all(kind, namespace)) for kind in USERS_KINDS] == [1, 3, 1, 1]
    held = [one for kind in USERS_KINDS for one in kube.all(kind, namespace)]
    assert sum(names.FINALIZER in one["metadata"].get("finalizers", []) for one in held) == 4
    kubectl(sandbox.kubeconfig, "delete", "namespace", namespace, "--timeout=90s", timeout=100)
    kubectl(sandbox.kubeconfig, "create", "namespace", namespace)
    assert [kube.all(kind, namespace) for kind in (*USERS_KINDS, Kind.POD, Kind.CLAIM)] == [[]] * 6


class _Reader:
    """Counts the points behind a name, again and again, until stopped."""

    def __init__(self, peers: Peers, name: str) -> None:
        address = next(iter(peers.pods().values()))
        self._url = f"http://{address}:6333/collections/{name}/points/count"
        self._key = peers.key
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: set[int] = set()
        self.last = 0
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        with httpx.Client(headers={"api-key": self._key}, timeout=10, trust_env=False) as http:
            while not self._stop.wait(0.002):
                answer = http.post(self._url, json={"exact": True})
                if answer.status_code != 200:
                    self.failed.append(f"{answer.status_code} {answer.text[:200]}")
                    continue
                self.last = int(answer.json()["result"]["count"])
                self.seen.add(self.last)


def _fill(sandbox: Sandbox, kube: Kube, namespace: str) -> None:
    """A cluster with everything that holds a finalizer, and a snapshot that is complete."""
    assert sandbox.s3 is not None
    sandbox.s3.create_bucket(namespace)
    given = {"accessKeyId": sandbox.s3.access_key, "secretAccessKey": sandbox.s3.secret_key}
    kube.create(manifests.secret("s3", **given), namespace)
    kube.create(manifests.cluster(), namespace)
    for name in ("docs", "pages", "images"):
        kube.create(manifests.collection(name, deletionPolicy="Delete"), namespace)
    for name in ("docs", "pages", "images"):
        kube.wait_ready(COLLECTION, namespace, name, 90)
    s3 = {"bucket": namespace, "endpoint": sandbox.s3.endpoint, "credentials": {"secretRef": {"name": "s3"}}}
    spec: Manifest = {"clusterRef": {"name": "vectors"}, "storage": {"s3": s3}, "deletionPolicy": "Delete"}
    kube.create(manifests.custom(SNAPSHOT, "now", spec), namespace)
    kube.create(manifests.custom(SCHEDULE, "nightly", {**spec, "schedule": "0 2 * * *"}), namespace)
    kube.wait_ready(SNAPSHOT, namespace, "now", 90)


def _delete(kube: Kube, namespace: str, name: str) -> None:
    kube.delete(COLLECTION, namespace, name)
    eventually(
        lambda: kube.get(COLLECTION, namespace, name) is None,
        30,
        partial(kube.tell, COLLECTION, namespace, name),
    )


def _declare_indexes(kube: Kube, namespace: str, name: str, indexes: list[Manifest]) -> None:
    kube.patch(COLLECTION, namespace, name, {"spec": {"payloadIndexes": indexes}})


def _indexes(peers: Peers, name: str) -> dict[str, str]:
    schema = peers.ask("vectors-0", "GET", f"/collections/{name}")["payload_schema"]
    return {field: index["data_type"] for field, index in schema.items()}


def _collections(peers: Peers) -> set[str]:
    return {one["name"] for one in peers.ask("vectors-0", "GET", "/collections")["collections"]}


def _aliases(peers: Peers) -> set[str]:
    return {one["alias_name"] for one in peers.ask("vectors-0", "GET", "/aliases")["aliases"]}


def _holders(peers: Peers, name: str, shard: int) -> int:
    """How many peers hold an active replica of a shard, by their own words."""
    told = [peers.ask(pod, "GET", f"/collections/{name}/cluster")["local_shards"] for pod in peers.pods()]
    return sum(one["shard_id"] == shard and one["state"] == "Active" for local in told for one in local)


def _written(manifest: Manifest) -> set[tuple[str, ...]]:
    """Fields that the operator has written, as paths of at most two names below metadata and one elsewhere."""
    found: set[tuple[str, ...]] = set()
    for entry in manifest["metadata"].get("managedFields") or ():
        if entry["manager"].startswith(names.FIELD_MANAGER):
            found |= set(_paths(entry["fieldsV1"]))
    return found


def _paths(fields: Manifest) -> Iterator[tuple[str, ...]]:
    for key, inner in fields.items():
        name = key.removeprefix("f:")
        yield from ((name, one.removeprefix("f:")) for one in inner) if name == "metadata" else [(name,)]
