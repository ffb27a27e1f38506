"""Values that cross the border to Kubernetes and to Qdrant: what the loop and the adapters both name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""
Json = Any


class Kind(Enum):
    """The kinds we read or write: value = (apiVersion, kind, plural)."""

    CLUSTER = ("qdrantoperator.dev/v1alpha1", "QdrantCluster", "qdrantclusters")
    COLLECTION = ("qdrantoperator.dev/v1alpha1", "QdrantCollection", "qdrantcollections")
    SCHEDULE = ("qdrantoperator.dev/v1alpha1", "QdrantSnapshotSchedule", "qdrantsnapshotschedules")
    SNAPSHOT = ("qdrantoperator.dev/v1alpha1", "QdrantSnapshot", "qdrantsnapshots")
    STATEFUL_SET = ("apps/v1", "StatefulSet", "statefulsets")
    POD = ("v1", "Pod", "pods")
    SERVICE = ("v1", "Service", "services")
    CONFIG_MAP = ("v1", "ConfigMap", "configmaps")
    SECRET = ("v1", "Secret", "secrets")
    SERVICE_ACCOUNT = ("v1", "ServiceAccount", "serviceaccounts")
    CLAIM = ("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
    DISRUPTION_BUDGET = ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
    NETWORK_POLICY = ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
    JOB = ("batch/v1", "Job", "jobs")
    ENDPOINT_SLICE = ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
    EVENT = ("events.k8s.io/v1", "Event", "events")
    NAMESPACE = ("v1", "Namespace", "namespaces")
    LEASE = ("coordination.k8s.io/v1", "Lease", "leases")

    @property
    def api_version(self) -> str:
        """Group and version, as in a manifest."""
        return self.value[0]

    @property
    def kind(self) -> str:
        """Kind, as in a manifest."""
        return self.value[1]

    @property
    def plural(self) -> str:
        """Resource name in URLs."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one peer's REST API answers, and the key it takes."""

    url: str
    """Scheme, address and port, for example http://10.0.0.7:6333."""
    identity: str
    """The pod's uid: connections belong to it, not to the address."""
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """A snapshot file of one shard, on the peer that made it."""

    name: str
    bytes: int
    sha256: str | None
