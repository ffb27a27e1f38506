"""Manifests that rules accept or refuse: the least that is valid, and one thing about it."""

from __future__ import annotations

from typing import Any

from tests.api.manifests import STORAGE, Manifest, least, manifest

CLUSTER, COLLECTION = "QdrantCluster", "QdrantCollection"
SCHEDULE, SNAPSHOT = "QdrantSnapshotSchedule", "QdrantSnapshot"


def named(kind: str, name: str) -> Manifest:
    """An object of this name."""
    return {**least(kind), "metadata": {"name": name}}


def cluster(**spec: Any) -> Manifest:
    """A QdrantCluster with these fields."""
    return least(CLUSTER, **spec)


def pinned(version: str, digit: str) -> Manifest:
    """A QdrantCluster of this version whose image's digest has this digit only."""
    return cluster(version=version, image={"digest": f"sha256:{digit * 64}"})


def labels(labels: dict[str, str]) -> Manifest:
    """A QdrantCluster whose pods get these labels."""
    return cluster(podTemplate={"metadata": {"labels": labels}})


def env(name: str) -> Manifest:
    """A QdrantCluster whose pods get this environment variable."""
    return cluster(podTemplate={"spec": {"env": [{"name": name, "value": "1"}]}})


def clients(*clients: Manifest) -> Manifest:
    """A QdrantCluster that these may reach."""
    return cluster(networkPolicy={"clients": list(clients)})


def block(cidr: str, *excepted: str) -> Manifest:
    """A QdrantCluster that an address range may reach."""
    return clients({"ipBlock": {"cidr": cidr, "except": list(excepted)}})


def required(selector: str, operator: str, **values: list[str]) -> Manifest:
    """A QdrantCluster that pods of an expression may reach."""
    return clients({selector: {"matchExpressions": [{"key": "tier", "operator": operator, **values}]}})


def resources(request: int | str, limit: int | str) -> Manifest:
    """A QdrantCluster with memory asked for and limited."""
    return cluster(resources={"requests": {"memory": request, "cpu": "1"}, "limits": {"memory": limit}})


def vectors(**spec: Any) -> Manifest:
    """A QdrantCollection without unnamed vectors."""
    return least(COLLECTION, **{"vectors": None, **spec})


def index(**options: Any) -> Manifest:
    """A QdrantCollection with one payload index."""
    return least(COLLECTION, payloadIndexes=[{"field": "subject", **options}])


def keyed(*keys: Any, method: str = "Custom") -> Manifest:
    """A QdrantCollection with shard keys."""
    return least(COLLECTION, sharding={"method": method, "keys": list(keys)})


def key_peers(**peers: Any) -> Manifest:
    """A QdrantCollection whose key names peers."""
    return keyed({"key": "eu", "peers": peers})


def sharded(method: str) -> Manifest:
    """A QdrantCollection with a sharding method."""
    return least(COLLECTION, sharding={"method": method})


def quantized(**methods: Any) -> Manifest:
    """A QdrantCollection with quantization."""
    return least(COLLECTION, quantization=methods)


def s3(**settings: Any) -> Manifest:
    """A QdrantSnapshot to a bucket."""
    return least(SNAPSHOT, storage={"s3": {**STORAGE["s3"], **settings}})


def worked(**settings: Any) -> Manifest:
    """A QdrantSnapshot with settings for its Job."""
    return least(SNAPSHOT, job=settings)


def cron(expression: str) -> Manifest:
    """A QdrantSnapshotSchedule with this schedule."""
    return least(SCHEDULE, schedule=expression)


def sized(size: int | str, **more: str) -> Manifest:
    """A QdrantCluster with volumes of a size."""
    return cluster(persistence={"size": size, **more})


_SNAPSHOT = manifest(SNAPSHOT, {**least(SNAPSHOT)["spec"], "collections": ["a", "b"]})


def snapshot(**changes: Any) -> Manifest:
    """A QdrantSnapshot of two collections."""
    return {**_SNAPSHOT, "spec": {**_SNAPSHOT["spec"], **changes}}
