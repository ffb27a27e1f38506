"""A running cluster, read with the credentials of the user through the adapters of the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from qdrant_operator.adapters.kubernetes.client import HttpKubernetes
from qdrant_operator.adapters.kubernetes.credentials import (
    current_namespace,
    in_pod,
    load_api_server,
    open_session,
)
from qdrant_operator.adapters.kubernetes.store import OWNED, Store, watch_labels
from qdrant_operator.adapters.kubernetes.transport import Transport
from qdrant_operator.adapters.leadership import never
from qdrant_operator.adapters.qdrant.http import unmeasured
from qdrant_operator.adapters.qdrant.proxy import ProxiedPeers
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.commands.readonly import ReadsObjects, ReadsPeers
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest

LISTED = tuple(kind for kind in OWNED if kind is not Kind.JOB)
"""What an observation reads from the caches of the operator; Jobs belong to snapshots."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, and how to reach it."""

    name: str
    namespace: str | None = None
    """None: the namespace of the context."""
    kubeconfig: str | None = None
    context: str | None = None
    peers_through: str | None = None
    """`api-server`, `pod-ip`, or None: `pod-ip` inside a pod, otherwise `api-server`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where reads go."""

    namespace: str
    kubernetes: ReadsObjects
    peers: ReadsPeers


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Source]:
    """List what the loop has in its caches.

    Raises:
        Refused: no credentials, or missing permissions.
        Retryable: the API server does not answer.
    """
    namespace = target.namespace or current_namespace(target.kubeconfig, target.context)
    server = await load_api_server(target.kubeconfig, target.context)
    async with open_session(server) as session:
        store = Store()
        # A second safeguard beside `readonly`: this process never holds the Lease, so its transport sends no write.
        kubernetes = HttpKubernetes(Transport(session, server.url, is_holder=never), store)
        for kind in LISTED:
            await kubernetes.list(kind, namespace, watch_labels(kind))
        await kubernetes.list(Kind.COLLECTION, namespace, {})
        through = target.peers_through or ("pod-ip" if in_pod(target.kubeconfig) else "api-server")
        peers = (
            QdrantRest(unmeasured)
            if through == "pod-ip"
            else ProxiedPeers(session, server.url, _finder(store, namespace, target.name), unmeasured)
        )
        try:
            yield Source(namespace, kubernetes, peers)
        finally:
            await peers.close()


def _finder(store: Store, namespace: str, cluster: str) -> Callable[[str], tuple[str, str]]:
    def find(uid: str) -> tuple[str, str]:
        pods: tuple[Manifest, ...] = store.all(Kind.POD, namespace, names.peer_selector(cluster))
        for pod in pods:
            if pod["metadata"]["uid"] == uid:
                return namespace, str(pod["metadata"]["name"])
        raise Retryable(f"the pod with uid {uid} is gone")

    return find
