"""Settings of the operator process, read once from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.wanted.desired import OperatorPods


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; each field names its variable."""

    namespaces: tuple[str, ...]
    """Namespaces to watch (QDRANT_OPERATOR_NAMESPACES, comma-separated); empty: all."""
    image: str
    """Image of snapshot Jobs (QDRANT_OPERATOR_IMAGE): the image of the operator."""
    identity: str
    """Name of this process in the Lease and in Events (POD_NAME)."""
    namespace: str
    """Namespace of the Lease (POD_NAMESPACE)."""
    lease: str
    """Name of the Lease (QDRANT_OPERATOR_LEASE); empty: no leader election, for a single process run by hand."""
    pods: OperatorPods | None
    """Pods of the operator, which NetworkPolicies allow (POD_NAMESPACE, and QDRANT_OPERATOR_POD_LABELS as
    key=value,…); None without POD_NAMESPACE: the operator runs outside the Kubernetes cluster."""
    storage_endpoints: tuple[str, ...]
    """Patterns of the S3 endpoints that backups may use (QDRANT_OPERATOR_STORAGE_ENDPOINTS, comma-separated); empty:
    all except loopback, link-local and metadata services."""
    log_level: str
    """QDRANT_OPERATOR_LOG_LEVEL: DEBUG, INFO, WARNING or ERROR."""
    host: str
    """Address of the health and metrics endpoint (QDRANT_OPERATOR_HOST); empty: all addresses, IPv4 and IPv6."""
    port: int
    """Port of the health and metrics endpoint (QDRANT_OPERATOR_PORT)."""


def from_environment(environment: Mapping[str, str], version: str) -> Settings:
    """Read the settings.

    Raises:
        ValueError: an unusable value; the message names the variable.
    """
    port = environment.get("QDRANT_OPERATOR_PORT", "8080")
    if not port.isdigit():
        raise ValueError(f"QDRANT_OPERATOR_PORT is {port!r}: set a port number")
    level = environment.get("QDRANT_OPERATOR_LOG_LEVEL", "INFO").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"QDRANT_OPERATOR_LOG_LEVEL is {level!r}: use DEBUG, INFO, WARNING or ERROR")
    return Settings(
        namespaces=_list(environment.get("QDRANT_OPERATOR_NAMESPACES", "")),
        image=environment.get("QDRANT_OPERATOR_IMAGE", f"qdrant-operator:{version}"),
        identity=environment.get("POD_NAME", "qdrant-operator"),
        namespace=environment.get("POD_NAMESPACE", "default"),
        lease=environment.get("QDRANT_OPERATOR_LEASE", "qdrant-operator"),
        pods=_pods(environment.get("POD_NAMESPACE", ""), environment.get("QDRANT_OPERATOR_POD_LABELS", "")),
        storage_endpoints=_list(environment.get("QDRANT_OPERATOR_STORAGE_ENDPOINTS", "")),
        log_level=level,
        host=environment.get("QDRANT_OPERATOR_HOST", ""),
        port=int(port),
    )


def _list(text: str) -> tuple[str, ...]:
    entries = [entry.strip() for entry in text.split(",")]
    return tuple(sorted({entry for entry in entries if entry}))


def _pods(namespace: str, labels: str) -> OperatorPods | None:
    pairs = [pair.partition("=") for pair in labels.split(",") if pair.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise ValueError(f"QDRANT_OPERATOR_POD_LABELS is {labels!r}: write labels as key=value,key=value")
    found = {key.strip(): value.strip() for key, _, value in pairs}
    return OperatorPods(namespace, found) if namespace else None
