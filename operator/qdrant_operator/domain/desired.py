"""A QdrantCluster's spec with everything that its objects are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.errors import Refused
from qdrant_operator.domain.steps import Blocked, Guard

OWNED_CONFIG: Mapping[str, str] = {
    "cluster.enabled": "every cluster here is a Raft cluster",
    "cluster.peer_id": "Qdrant chooses it",
    "cluster.p2p.port": "the Services use 6335",
    "cluster.p2p.enable_tls": "encryption between peers is not offered yet",
    "service.host": "peers listen on every address of their pod",
    "service.http_port": "the Services use 6333",
    "service.grpc_port": "the Services use 6334",
    "service.enable_tls": "encryption of the API is not offered yet",
    "service.api_key": "use spec.auth.apiKey",
    "service.alt_api_key": "it is kept for the operator's own key rotation",
    "service.read_only_api_key": "use spec.auth.readOnlyApiKey",
    "storage.storage_path": "it is where the volume is mounted",
    "storage.snapshots_path": "it is where the operator looks for snapshots",
    "tls": "encryption is not offered yet",
}
"""Keys of Qdrant's configuration that the operator sets itself, and the remedy."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of a cluster, as values: they go into Secrets and hashes only."""

    api_key: str | None
    """Key for everything; None when auth is disabled."""
    read_only: tuple[str, str] | None = None
    """Name and key of the Secret with the read-only key, checked to be there and not empty."""
    read_only_hash: str = ""


@dataclass(frozen=True, slots=True)
class DesiredCluster:
    """What the objects of one cluster are built from."""

    name: str
    namespace: str
    uid: str
    spec: ClusterSpec
    credentials: Credentials
    members: int
    """Pods the StatefulSet shall have now; follows spec.replicas as far as that is safe."""
    version: str
    """Release to run now; follows spec.version as far as the hop is legal."""
    first_pod: str = ""
    """The only pod that may start a cluster alone; empty once a cluster exists."""

    @property
    def image(self) -> str:
        """Image of the peers."""
        return f"{self.spec.image.repository}:{self.version}"


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse keys of Qdrant's configuration that the operator owns.

    Raises:
        Refused: `InvalidConfig`, naming the field and what to use instead.
    """
    for path, remedy in OWNED_CONFIG.items():
        if _has(config, path.split(".")):
            raise Refused("InvalidConfig", f"spec.config.{path} is set by the operator: {remedy}; remove it")


def key_changed(secret: str) -> Blocked:
    """Why another API key in this Secret changes nothing."""
    message = (
        f"Secret {secret!r} holds another API key than the peers run with; this version cannot change the key "
        "of a running cluster: put the old value back"
    )
    return Blocked("change the API key", Guard.KEY_CHANGED, message)


def _has(config: Any, path: list[str]) -> bool:
    for step in path:
        if not isinstance(config, Mapping) or step not in config:
            return False
        config = config[step]
    return True
