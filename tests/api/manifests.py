"""Manifests for tests: the least that is accepted of each kind, and one that sets every field."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]

STORAGE: Manifest = {"s3": {"bucket": "backups"}}
LEAST: dict[str, Manifest] = {
    "QdrantCluster": {"version": "v1.19.0"},
    "QdrantCollection": {
        "clusterRef": {"name": "vectors"},
        "vectors": {"size": 4, "distance": "Cosine"},
    },
    "QdrantSnapshotSchedule": {
        "clusterRef": {"name": "vectors"},
        "schedule": "0 2 * * *",
        "storage": STORAGE,
    },
    "QdrantSnapshot": {"clusterRef": {"name": "vectors"}, "storage": STORAGE},
}
"""The least spec that is accepted."""


def manifest(kind: str, spec: Manifest, name: str = "subject") -> Manifest:
    """A whole object."""
    return {
        "apiVersion": "qdrantoperator.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def least(kind: str, **changes: Any) -> Manifest:
    """The least object of a kind with these fields of its spec set; None takes a field away."""
    spec = {**LEAST[kind], **changes}
    return manifest(kind, {key: value for key, value in spec.items() if value is not None})


HNSW: Manifest = {
    "m": 16,
    "efConstruct": 128,
    "fullScanThreshold": 10000,
    "maxIndexingThreads": 0,
    "onDisk": True,
    "payloadM": 16,
    "inlineStorage": False,
}
SCALAR: Manifest = {"scalar": {"type": "int8", "quantile": 0.99, "alwaysRam": True}}
PRODUCT: Manifest = {"product": {"compression": "x16", "alwaysRam": False}}
BINARY: Manifest = {"binary": {"encoding": "two_bits", "queryEncoding": "scalar8bits", "alwaysRam": True}}
S3: Manifest = {
    "s3": {
        "bucket": "backups",
        "prefix": "prod/",
        "region": "eu-west-1",
        "endpoint": "https://s3.example.com",
        "credentials": {"secretRef": {"name": "s3"}},
    }
}
SELECTOR: Manifest = {
    "matchLabels": {"team": "search"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
}
POD_SPEC: Manifest = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [
        {
            "key": "vectors",
            "operator": "Equal",
            "value": "yes",
            "effect": "NoExecute",
            "tolerationSeconds": 60,
        }
    ],
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": SELECTOR,
            "matchLabelKeys": ["team"],
            "minDomains": 3,
            "nodeAffinityPolicy": "Honor",
            "nodeTaintsPolicy": "Honor",
        }
    ],
    "priorityClassName": "high",
    "serviceAccountName": "vectors",
    "env": [{"name": "MALLOC_CONF", "value": "background_thread:true"}],
}
STRICT_MODE: Manifest = {
    "enabled": True,
    "maxQueryLimit": 100,
    "maxTimeout": 30,
    "unindexedFilteringRetrieve": False,
    "unindexedFilteringUpdate": False,
    "searchMaxHnswEf": 256,
    "searchAllowExact": False,
    "searchMaxOversampling": 3.5,
    "upsertMaxBatchsize": 1000,
    "searchMaxBatchsize": 100,
    "maxCollectionVectorSizeBytes": 10**12,
    "maxCollectionPayloadSizeBytes": 10**12,
    "maxPointsCount": 10**9,
    "readRateLimit": 1000,
    "writeRateLimit": 1000,
    "filterMaxConditions": 20,
    "conditionMaxSize": 1000,
    "multivectorConfig": {"tokens": {"maxVectors": 128}},
    "sparseConfig": {"bm25": {"maxLength": 1000}},
    "maxPayloadIndexCount": 20,
}
DENSE: Manifest = {
    "size": 768,
    "distance": "Cosine",
    "onDisk": True,
    "datatype": "float16",
    "hnsw": HNSW,
    "quantization": PRODUCT,
    "multivector": {"comparator": "max_sim"},
}
INDEXES: list[Manifest] = [
    {"field": "tenant", "type": "keyword", "isTenant": True, "onDisk": True},
    {"field": "year", "type": "integer", "isPrincipal": True, "lookup": False, "range": True},
    {
        "field": "body",
        "type": "text",
        "tokenizer": "word",
        "minTokenLen": 2,
        "maxTokenLen": 20,
        "lowercase": True,
        "phraseMatching": True,
    },
]
JOB: Manifest = {
    "activeDeadlineSeconds": 7200,
    "resources": {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    },
}
_FULL: dict[str, Manifest] = {
    "QdrantCluster": {
        "version": "v1.19.0",
        "image": {
            "repository": "registry.example.com:5000/qdrant",
            "digest": f"sha256:{'0' * 64}",
            "pullPolicy": "Always",
            "pullSecrets": [{"name": "registry"}],
        },
        "replicas": 5,
        "resources": {"requests": {"cpu": 2, "memory": "8Gi"}, "limits": {"memory": "8Gi"}},
        "persistence": {
            "size": "100Gi",
            "storageClassName": "fast",
            "whenDeleted": "Delete",
            "whenScaled": "Retain",
        },
        "auth": {
            "apiKey": {"secretRef": {"name": "keys", "key": "rw"}},
            "readOnlyApiKey": {"secretRef": {"name": "keys", "key": "ro"}},
            "disabled": False,
        },
        "config": {"storage": {"performance": {"max_search_threads": 4}}},
        "podTemplate": {
            "metadata": {"labels": {"team": "search"}, "annotations": {"note": "peers"}},
            "spec": POD_SPEC,
        },
        "service": {"type": "LoadBalancer", "annotations": {"lb": "internal"}},
        "networkPolicy": {
            "enabled": True,
            "clients": [
                {"podSelector": SELECTOR, "namespaceSelector": SELECTOR},
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            ],
        },
        "shards": {
            "placement": "DrainOnly",
            "zoneKey": "topology.kubernetes.io/zone",
            "transfers": {"perCluster": 4, "perPeer": 2, "method": "stream_records"},
            "window": {"schedule": "0 1 * * *", "duration": "4h", "timeZone": "Europe/Paris"},
            "replaceLostPeerAfter": "30m",
            "replaceLostPeers": [8371463587641234],
        },
        "paused": True,
    },
    "QdrantCollection": {
        "clusterRef": {"name": "vectors"},
        "name": "docs",
        "namedVectors": {
            "tokens": DENSE,
            "image": {**DENSE, "quantization": BINARY},
            "text": {**DENSE, "quantization": SCALAR},
        },
        "sparseVectors": {
            "bm25": {"modifier": "idf", "onDisk": True, "fullScanThreshold": 5000, "datatype": "uint8"}
        },
        "shardNumber": 6,
        "replicationFactor": 3,
        "writeConsistencyFactor": 2,
        "readFanOutFactor": 1,
        "sharding": {
            "method": "Custom",
            "keys": [
                {"key": "eu", "shards": 2, "replicationFactor": 3, "peers": {"zone": "eu-1"}},
                {"key": 7, "shards": 1, "peers": {"pods": ["vectors-0", "vectors-2"]}},
            ],
            "onKeyRemoval": "Delete",
        },
        "onDiskPayload": True,
        "hnsw": HNSW,
        "optimizers": {
            "deletedThreshold": 0.2,
            "vacuumMinVectorNumber": 1000,
            "defaultSegmentNumber": 4,
            "maxSegmentSize": 200000,
            "indexingThreshold": 20000,
            "flushIntervalSec": 5,
            "maxOptimizationThreads": "auto",
        },
        "wal": {"walCapacityMb": 32, "walSegmentsAhead": 1, "walRetainClosed": 2},
        "quantization": SCALAR,
        "strictMode": STRICT_MODE,
        "payloadIndexes": INDEXES,
        "prunePayloadIndexes": True,
        "aliases": ["docs-live", "docs-new"],
        "deletionPolicy": "Delete",
        "adoption": "Never",
    },
    "QdrantSnapshotSchedule": {
        "clusterRef": {"name": "vectors"},
        "schedule": "0 2 * * *",
        "timeZone": "Europe/Paris",
        "suspend": True,
        "concurrencyPolicy": "Allow",
        "startingDeadlineSeconds": 600,
        "collections": ["docs", "events-*"],
        "storage": S3,
        "retention": {"keepLast": 7},
        "verify": {"mode": "None"},
        "job": JOB,
        "deletionPolicy": "Retain",
    },
    "QdrantSnapshot": {
        "clusterRef": {"name": "vectors"},
        "collections": ["docs"],
        "storage": S3,
        "verify": {"mode": "Checksum"},
        "job": JOB,
        "deletionPolicy": "Delete",
    },
}


def _with_unnamed_vector(spec: Manifest, vector: Manifest, quantization: Manifest) -> Manifest:
    kept = {key: value for key, value in spec.items() if key != "namedVectors"}
    return {**kept, "vectors": {**DENSE, "quantization": vector}, "quantization": quantization}


_COLLECTION = _FULL["QdrantCollection"]
FULL: dict[str, tuple[Manifest, ...]] = {
    **{kind: (spec,) for kind, spec in _FULL.items()},
    "QdrantCollection": (
        _COLLECTION,
        _with_unnamed_vector(_COLLECTION, SCALAR, PRODUCT),
        _with_unnamed_vector(_COLLECTION, PRODUCT, BINARY),
        _with_unnamed_vector(_COLLECTION, BINARY, SCALAR),
    ),
}
"""Specs that together set every field there is."""

_TIME = "2026-11-21T02:00:00Z"
_COMMON: Manifest = {
    "operator": {
        "name": "ops-a/qdrant-operator",
        "renewedAt": "2026-11-21T12:00:00Z",
        "rival": "ops-b/qdrant-operator",
        "rivalSeenAt": "2026-11-21T12:01:00Z",
    },
    "observedGeneration": 3,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "AllSound",
            "message": "",
            "observedGeneration": 3,
            "lastTransitionTime": _TIME,
        }
    ],
}
_BLOCKED: list[Manifest] = [{"step": "restart vectors-1", "guard": "ReplicasNotSound", "message": "docs/3"}]
STATUS: dict[str, Manifest] = {
    "QdrantCluster": {
        **_COMMON,
        "phase": "Ready",
        "version": "v1.19.0",
        "highestVersion": "v1.19.0",
        "leader": "vectors-0",
        "endpoint": {
            "rest": "http://vectors.default.svc:6333",
            "grpc": "vectors.default.svc:6334",
            "secretName": "vectors-auth",
        },
        "peers": [
            {
                "pod": "vectors-0",
                "id": 8371463587641234,
                "state": "Active",
                "version": "1.19.0",
                "zone": "a",
                "shards": 8,
                "points": 1200345,
                "bytes": 9123456789,
            }
        ],
        "peersReady": "3/3",
        "shards": {"wanted": 24, "sound": 24, "dead": 0, "transfers": 0, "imbalance": 1},
        "shardsSound": "24/24",
        "plan": ["restart vectors-1 (template)"],
        "planned": 1,
        "blocked": _BLOCKED,
        "bootstrap": {"phase": "Complete", "pod": "vectors-0", "peerId": 8371463587641234},
        "members": [
            {"pod": "vectors-0", "peerId": 8371463587641234, "claimUid": "1b4e28ba", "lostSince": _TIME}
        ],
        "leaving": {"pod": "vectors-3", "peerId": 4711, "claimUid": "1b4e28bb", "phase": "Removing"},
        "advice": [{"reason": "NoQuorumMargin", "message": "2 peers"}],
    },
    "QdrantCollection": {
        **_COMMON,
        "phase": "Ready",
        "activeName": "docs",
        "aliases": ["docs-live"],
        "shardKeys": ["eu", 7],
        "owned": True,
        "points": 10**10,
        "indexedVectors": 10**10,
        "segments": 24,
        "optimizer": "ok",
        "shards": {"wanted": 12, "sound": 12},
        "shardsSound": "12/12",
        "plan": ["build index tenant"],
        "blocked": _BLOCKED,
        "drift": [{"field": "hnsw.m", "wanted": "32", "actual": "16", "why": "optimizer running"}],
    },
    "QdrantSnapshotSchedule": {
        **_COMMON,
        "lastScheduleTime": _TIME,
        "nextScheduleTime": _TIME,
        "lastSuccessfulTime": _TIME,
        "active": ["nightly-20261121-0200"],
        "kept": 7,
    },
    "QdrantSnapshot": {
        **_COMMON,
        "phase": "Verified",
        "startedAt": _TIME,
        "completedAt": _TIME,
        "location": "s3://backups/prod/nightly-20261121-0200",
        "bytes": 10**13,
        "points": 10**10,
        "collections": [{"name": "docs", "shards": 6, "points": 10**10, "bytes": 10**13}],
        "missing": [{"name": "events", "reason": "ShardNotSound", "message": "no replica of it is sound"}],
        "progress": "24/24 shards, 9.8/9.8 GiB",
        "message": "all good",
        "waitingSince": _TIME,
        "job": "nightly-20261121-0200",
        "clusterUid": "3f0c1a52-8f2e-4c57-9f6e-0b7a4a1f4c11",
        "scheduleUid": "5d1b1a0e-7e0c-4f4f-8a55-0c7d1f2b9a22",
        "retention": {"uid": "8c9e2b34-1d6f-4b7e-a1c3-2f5e6d7c8b33", "decidedAt": _TIME},
    },
}
"""Statuses that set every field there is."""
