"""How other kinds reach a QdrantCluster: its peers' endpoints, straight to the pods."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.qdrant.views import Silent
from qdrant_operator.reconcile.objects.secrets import secret_value
from qdrant_operator.reconcile.ports import Endpoint, Kind, Kubernetes, Manifest


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """A cluster that may be talked to."""

    cluster: Manifest
    endpoints: tuple[Endpoint, ...]
    """Running pods with an address, by ordinal. Ready ones first."""

    @property
    def any(self) -> Endpoint:
        """The endpoint to ask when any peer will do."""
        return self.endpoints[0]


async def cluster_access(kubernetes: Kubernetes, namespace: str, cluster: str) -> ClusterAccess:
    """Find a cluster and its peers.

    Raises:
        Refused: `ClusterNotFound`, or `SecretNotFound` when its API key's Secret is missing.
        Retryable: the cluster has not formed yet, or no pod of it has an address.
    """
    found = await find_cluster(kubernetes, namespace, cluster)
    if found is None:
        raise cluster_not_found(namespace, cluster)
    if (found.get("status") or {}).get("bootstrap", {}).get("phase") != "Complete":
        raise Retryable(f"QdrantCluster {cluster!r} has not formed yet", after=2.0)
    key = await api_key(kubernetes, found)
    pods = kubernetes.cached(Kind.POD, namespace, names.peer_selector(cluster))
    reachable = sorted(
        (pod for pod in pods if address(pod)), key=lambda pod: (not is_ready(pod), ordinal(pod))
    )
    if not reachable:
        raise Retryable(f"no pod of QdrantCluster {cluster!r} has an address", after=2.0)
    return ClusterAccess(found, tuple(endpoint(pod, key) for pod in reachable))


async def find_cluster(kubernetes: Kubernetes, namespace: str, cluster: str) -> Manifest | None:
    """A cluster, or None. The watches of our kinds start one after another: only a live answer proves its absence."""
    found = kubernetes.cached_one(Kind.CLUSTER, namespace, cluster)
    return found or await kubernetes.read(Kind.CLUSTER, namespace, cluster)


def cluster_not_found(namespace: str, cluster: str) -> Refused:
    """`ClusterNotFound`, in words."""
    return Refused(
        "ClusterNotFound",
        f"QdrantCluster {cluster!r} does not exist in namespace {namespace!r}: create it, or correct"
        " spec.clusterRef.name",
    )


async def api_key(kubernetes: Kubernetes, cluster: Manifest) -> str | None:
    """The key that the cluster's peers take; None when auth is disabled."""
    if (cluster["spec"].get("auth") or {}).get("disabled"):
        return None
    meta = cluster["metadata"]
    return await secret_value(kubernetes, meta["namespace"], names.peer_auth_secret(meta["name"]), "api-key")


def silent(error: Retryable | Refused) -> Silent:
    """What is known of a peer that gave no usable answer."""
    refused = isinstance(error, Refused) and error.reason == "Forbidden"
    return Silent(str(error), key_refused=refused)


def address(pod: Manifest) -> str | None:
    """The pod's address while it runs."""
    status = pod.get("status") or {}
    gone = status.get("phase") in ("Succeeded", "Failed")
    return None if gone else status.get("podIP")


def addresses(pod: Manifest) -> frozenset[str]:
    """All addresses of the pod: one of each family where the network has two."""
    status = pod.get("status") or {}
    several = {entry.get("ip") for entry in status.get("podIPs") or ()}
    return frozenset(ip for ip in (*several, status.get("podIP")) if ip)


def is_ready(pod: Manifest) -> bool:
    """Whether the kubelet calls the pod Ready."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def ordinal(pod: Manifest) -> int:
    """The pod's index in its StatefulSet."""
    return int(pod["metadata"]["name"].rsplit("-", 1)[1])


def endpoint(pod: Manifest, key: str | None) -> Endpoint:
    """Where the peer in this pod answers."""
    return Endpoint(names.rest_url(address(pod) or ""), str(pod["metadata"]["uid"]), key)
