"""What most scenarios begin with: a cluster `vectors` with a collection `docs`, as a user writes them."""

from __future__ import annotations

from typing import Protocol

from e2e.environment.kubectl import NAME, Kubectl
from qdrant_operator.domain.common.kinds import Kind, Manifest

COLLECTION = "docs"
READY_SECONDS = 180.0


class Form(Protocol):
    """Makes the two."""

    def __call__(
        self, home: Kubectl, replicas: int = 3, factor: int = 2, shards: int = 6, **spec: object
    ) -> None:
        """Apply them and wait until both are Ready; `spec` is added to the cluster's."""


def form(home: Kubectl, replicas: int = 3, factor: int = 2, shards: int = 6, **spec: object) -> None:
    """As `Form`."""
    home.apply(cluster(replicas, **spec), collection(factor, shards))
    home.ready("qdrantcluster", NAME, READY_SECONDS)
    home.ready("qdrantcollection", COLLECTION, READY_SECONDS)
    home.settled(replicas=replicas)


def cluster(replicas: int, **spec: object) -> Manifest:
    """A QdrantCluster with volumes of 1 GiB that asks for little."""
    size = {"persistence": {"size": "1Gi"}, "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
    return _custom(Kind.CLUSTER, NAME, {"version": "v1.19.0", "replicas": replicas, **size, **spec})


def collection(factor: int, shards: int) -> Manifest:
    """A QdrantCollection of points with four dimensions."""
    shape = {"vectors": {"size": 4, "distance": "Dot"}, "shardNumber": shards, "replicationFactor": factor}
    return _custom(Kind.COLLECTION, COLLECTION, {"clusterRef": {"name": NAME}, **shape})


def _custom(kind: Kind, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
