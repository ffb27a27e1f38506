"""The kinds that users write and read, as models; their CRDs are generated from these."""

from qdrant_operator.api.base import Blocked, Condition, LocalRef, Model, SecretKeyRef
from qdrant_operator.api.cluster import Auth, ClusterSpec, Image, KeySource, Persistence, Resources, Service
from qdrant_operator.api.cluster_status import (
    Advice,
    Bootstrap,
    ClusterPhase,
    ClusterStatus,
    Endpoints,
    PeerStatus,
    ShardCounts,
)
from qdrant_operator.api.collection import (
    CollectionPhase,
    CollectionShards,
    CollectionSpec,
    CollectionStatus,
    Drift,
)
from qdrant_operator.api.indexes import PayloadIndex
from qdrant_operator.api.pods import EnvVar, PodMetadata, PodSpec, PodTemplate, Toleration, TopologySpread
from qdrant_operator.api.sharding import KeyPeers, Sharding, ShardingKey
from qdrant_operator.api.snapshot import (
    Retention,
    SnapshotCollection,
    SnapshotJob,
    SnapshotMissing,
    SnapshotPhase,
    SnapshotScheduleSpec,
    SnapshotScheduleStatus,
    SnapshotSpec,
    SnapshotStatus,
)
from qdrant_operator.api.storage import S3, S3Credentials, Storage, Verify
from qdrant_operator.api.tuning import Hnsw, Optimizers, Quantization, StrictMode, Wal
from qdrant_operator.api.vectors import Multivector, SparseVector, Vector

__all__ = [
    "S3",
    "Advice",
    "Auth",
    "Blocked",
    "Bootstrap",
    "ClusterPhase",
    "ClusterSpec",
    "ClusterStatus",
    "CollectionPhase",
    "CollectionShards",
    "CollectionSpec",
    "CollectionStatus",
    "Condition",
    "Drift",
    "Endpoints",
    "EnvVar",
    "Hnsw",
    "Image",
    "KeyPeers",
    "KeySource",
    "LocalRef",
    "Model",
    "Multivector",
    "Optimizers",
    "PayloadIndex",
    "PeerStatus",
    "Persistence",
    "PodMetadata",
    "PodSpec",
    "PodTemplate",
    "Quantization",
    "Resources",
    "Retention",
    "S3Credentials",
    "SecretKeyRef",
    "Service",
    "ShardCounts",
    "Sharding",
    "ShardingKey",
    "SnapshotCollection",
    "SnapshotJob",
    "SnapshotMissing",
    "SnapshotPhase",
    "SnapshotScheduleSpec",
    "SnapshotScheduleStatus",
    "SnapshotSpec",
    "SnapshotStatus",
    "SparseVector",
    "Storage",
    "StrictMode",
    "Toleration",
    "TopologySpread",
    "Vector",
    "Verify",
    "Wal",
]
