"""Settings of the operator process: environment → one frozen value, read once, passed down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.domain.cluster.wanted.desired import OperatorPods


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says."""

    namespaces: tuple[str, ...]
    """Namespaces to serve (QDRANT_OPERATOR_NAMESPACES, comma-separated); empty: all of them."""
    image: str
    """Image that snapshot Jobs run (QDRANT_OPERATOR_IMAGE): the operator's own."""
    identity: str
    """Who holds the Lease and reports Events (POD_NAME)."""
    namespace: str
    """Where the Lease lives (POD_NAMESPACE)."""
    lease: str
    """Name of the Lease (QDRANT_OPERATOR_LEASE); empty: no election, for one process by hand."""
    pods: OperatorPods | None
    """Pods of the operator, which NetworkPolicies let in (POD_NAMESPACE, and QDRANT_OPERATOR_POD_LABELS as
    key=value,…); None without POD_NAMESPACE: it runs outside the Kubernetes cluster."""
    storage_endpoints: tuple[str, ...]
    """Patterns of the S3 endpoints that backups may use (QDRANT_OPERATOR_STORAGE_ENDPOINTS, comma-separated); empty:
    all but loopback, link-local and metadata services."""
    log_level: str
    """QDRANT_OPERATOR_LOG_LEVEL: DEBUG, INFO, WARNING or ERROR."""
    host: str
    """Address of the health and metrics endpoint (QDRANT_OPERATOR_HOST); empty: all of the pod's, of both families."""
    port: int
    """Its port (QDRANT_OPERATOR_PORT)."""


def from_environment(environment: Mapping[str, str], version: str) -> Settings:
    """Read the settings.

    Raises:
        ValueError: a value that cannot be used, naming the variable.
    """
    port = environment.get("QDRANT_OPERATOR_PORT", "8080")
    if not port.isdigit():
        raise ValueError(f"QDRANT_OPERATOR_PORT is {port!r}: give a port number")
    level = environment.get("QDRANT_OPERATOR_LOG_LEVEL", "INFO").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"QDRANT_OPERATOR_LOG_LEVEL is {level!r}: use DEBUG, INFO, WARNING or ERROR")
    return Settings(
        namespaces=_words(environment.get("QDRANT_OPERATOR_NAMESPACES", "")),
        image=environment.get("QDRANT_OPERATOR_IMAGE", f"qdrant-operator:{version}"),
        identity=environment.get("POD_NAME", "qdrant-operator"),
        namespace=environment.get("POD_NAMESPACE", "default"),
        lease=environment.get("QDRANT_OPERATOR_LEASE", "qdrant-operator"),
        pods=_pods(environment.get("POD_NAMESPACE", ""), environment.get("QDRANT_OPERATOR_POD_LABELS", "")),
        storage_endpoints=_words(environment.get("QDRANT_OPERATOR_STORAGE_ENDPOINTS", "")),
        log_level=level,
        host=environment.get("QDRANT_OPERATOR_HOST", ""),
        port=int(port),
    )


def _words(listed: str) -> tuple[str, ...]:
    return tuple(sorted({word.strip() for word in listed.split(",") if word.strip()}))


def _pods(namespace: str, labels: str) -> OperatorPods | None:
    pairs = [pair.partition("=") for pair in labels.split(",") if pair.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise ValueError(f"QDRANT_OPERATOR_POD_LABELS is {labels!r}: write labels as key=value,key=value")
    found = {key.strip(): value.strip() for key, _, value in pairs}
    return OperatorPods(namespace, found) if namespace else None
