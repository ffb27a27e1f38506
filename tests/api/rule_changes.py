"""Rules about changes, and bounds of fields: what each accepts and refuses, as data."""

from __future__ import annotations

from tests.api.manifests import Manifest, least, manifest
from tests.api.rule_manifests import (
    CLUSTER,
    COLLECTION,
    SCHEDULE,
    SNAPSHOT,
    cluster,
    keyed,
    pinned,
    quantized,
    sharded,
    sized,
    snapshot,
)

CHANGES: dict[str, tuple[list[tuple[Manifest, Manifest]], list[tuple[Manifest, Manifest]]]] = {
    "spec.persistence.size: cannot be changed": (
        [(sized("1Gi"), sized("1024Mi")), (cluster(), sized("10Gi"))],
        [(sized("1Gi"), sized("2Gi")), (sized("20Gi"), cluster())],
    ),
    "spec.persistence.storageClassName: cannot be changed": (
        [(sized("1Gi", storageClassName="fast"), sized("1Gi", storageClassName="fast"))],
        [
            (sized("1Gi", storageClassName="fast"), sized("1Gi", storageClassName="slow")),
            (sized("1Gi", storageClassName="fast"), sized("1Gi")),
            (sized("1Gi"), sized("1Gi", storageClassName="fast")),
        ],
    ),
    "spec.image.digest: is the image of the old version": (
        [
            (pinned("v1.19.0", "a"), pinned("v1.19.1", "b")),
            (pinned("v1.19.0", "a"), pinned("v1.19.0", "b")),
            (pinned("v1.19.0", "a"), cluster(version="v1.19.1")),
            (cluster(version="v1.19.0"), pinned("v1.19.1", "a")),
        ],
        [(pinned("v1.19.0", "a"), pinned("v1.19.1", "a"))],
    ),
    "spec.clusterRef: cannot be changed": (
        [
            (least(COLLECTION), least(COLLECTION, shardNumber=2)),
            (least(SCHEDULE), least(SCHEDULE, suspend=True)),
        ],
        [
            (least(COLLECTION), least(COLLECTION, clusterRef={"name": "other"})),
            (least(SCHEDULE), least(SCHEDULE, clusterRef={"name": "other"})),
        ],
    ),
    "spec.name: cannot be changed": (
        [(least(COLLECTION), least(COLLECTION, name="subject"))],
        [
            (least(COLLECTION), least(COLLECTION, name="other")),
            (least(COLLECTION, name="docs"), least(COLLECTION)),
        ],
    ),
    "spec.sharding.method: cannot be changed": (
        [
            (sharded("Custom"), keyed({"key": "eu"})),
            (least(COLLECTION), sharded("Auto")),
            (sharded("Auto"), least(COLLECTION)),
        ],
        [(sharded("Custom"), sharded("Auto")), (sharded("Auto"), sharded("Custom"))],
    ),
    "spec: cannot be changed, except deletionPolicy": (
        [(snapshot(), snapshot(deletionPolicy="Delete"))],
        [
            (snapshot(), snapshot(clusterRef={"name": "other"})),
            (snapshot(), snapshot(collections=["a"])),
            (snapshot(), snapshot(storage={"s3": {"bucket": "elsewhere"}})),
            (snapshot(), snapshot(verify={"mode": "None"})),
            (snapshot(), snapshot(job={"activeDeadlineSeconds": 60})),
        ],
    ),
}
"""Message of a rule about changes → pairs (before, after) that it accepts, pairs that it refuses."""

BOUNDS: list[tuple[str, Manifest]] = [
    ("spec.vectors.size", least(COLLECTION, vectors={"size": 0, "distance": "Dot"})),
    ("spec.vectors.size", least(COLLECTION, vectors={"size": 65537, "distance": "Dot"})),
    ("spec.vectors.distance", least(COLLECTION, vectors={"size": 4, "distance": "cosine"})),
    ("spec.shardNumber", least(COLLECTION, shardNumber=0)),
    ("spec.replicationFactor", least(COLLECTION, replicationFactor=0)),
    ("spec.sharding.keys[0].key", keyed({"key": -1})),
    ("spec.sharding.keys[0].key", keyed({"key": ""})),
    ("spec.sharding.keys[0].shards", keyed({"key": 1, "shards": 0})),
    ("spec.sharding.keys[0].replicationFactor", keyed({"key": 1, "replicationFactor": 101})),
    ("spec.hnsw.efConstruct", least(COLLECTION, hnsw={"efConstruct": 3})),
    ("spec.quantization.scalar.quantile", quantized(scalar={"quantile": 0.4})),
    (
        "spec.optimizers.maxOptimizationThreads",
        least(COLLECTION, optimizers={"maxOptimizationThreads": "all"}),
    ),
    ("spec.optimizers.maxOptimizationThreads", least(COLLECTION, optimizers={"maxOptimizationThreads": -1})),
    ("spec.name", least(COLLECTION, name="a/b")),
    ("spec.aliases", least(COLLECTION, aliases=["a", "a"])),
    (
        "spec.payloadIndexes",
        least(COLLECTION, payloadIndexes=[{"field": "a", "type": "bool"}, {"field": "a", "type": "geo"}]),
    ),
    ("spec.replicas", cluster(replicas=0)),
    ("spec.replicas", cluster(replicas=101)),
    ("spec.version", manifest(CLUSTER, {})),
    ("spec.persistence.size", cluster(persistence={"size": "ten"})),
    ("spec.resources.limits.memory", cluster(resources={"limits": {"memory": "8GB"}})),
    ("spec.storage.s3", least(SNAPSHOT, storage={})),
    ("spec.collections", least(SNAPSHOT, collections=[])),
    ("spec.retention.keepLast", least(SCHEDULE, retention={"keepLast": 0})),
]
"""Path of a field that a schema bound refuses, and a manifest that goes beyond it."""
