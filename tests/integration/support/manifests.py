"""What users write, for tests: small and complete."""

from __future__ import annotations

import base64
from typing import Any

from qdrant_operator.domain.common.kinds import Kind, Manifest


def cluster(name: str = "vectors", replicas: int = 3, **spec: Any) -> Manifest:
    """A QdrantCluster."""
    return custom(Kind.CLUSTER, name, {"version": "v1.19.0", "replicas": replicas, **spec})


def collection(name: str = "docs", cluster: str = "vectors", **spec: Any) -> Manifest:
    """A QdrantCollection of three shards on two peers each."""
    shape = {"vectors": {"size": 4, "distance": "Dot"}, "shardNumber": 3, "replicationFactor": 2}
    return custom(Kind.COLLECTION, name, {"clusterRef": {"name": cluster}, **shape, **spec})


def custom(kind: Kind, name: str, spec: Manifest) -> Manifest:
    """An object of one of the operator's kinds."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def secret(name: str, **values: str) -> Manifest:
    """A Secret."""
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
