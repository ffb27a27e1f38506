"""What every pod of a node shares, and what one pod's parts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.node.kube import KubeClient, Manifest
from sandbox.node.network.addresses import Addresses
from sandbox.node.peers import Peers


@dataclass(frozen=True, slots=True)
class Node:
    """The node's means."""

    name: str
    folder: Path
    kube: KubeClient
    addresses: Addresses
    peers: Peers
    qdrant: Path | None
    """Qdrant's binary; None for simulated peers."""


@dataclass(slots=True)
class Pod:
    """One pod as its containers see it; `manifest` is the newest seen."""

    node: Node
    manifest: Manifest
    address: str
    folder: Path
    """Goes with the pod."""
    logs: Path
    """Stays, so that a test can read what a deleted pod wrote."""
    changed: Callable[[], None]
    """To be called when something that stands in the status has changed."""

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def restart_policy(self) -> str:
        """Always, OnFailure or Never."""
        return str(self.manifest["spec"].get("restartPolicy", "Always"))

    @property
    def path(self) -> str:
        """The pod's path in the API."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def leaving(self) -> bool:
        """Whether the pod is being deleted."""
        return "deletionTimestamp" in self.manifest["metadata"]


class NotYetError(Exception):
    """A container cannot start now; the reason and message stand in its waiting state, and it is tried again."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def config_error(message: str) -> NotYetError:
    """A ConfigMap, Secret or field that a container names is not there."""
    return NotYetError("CreateContainerConfigError", message)
