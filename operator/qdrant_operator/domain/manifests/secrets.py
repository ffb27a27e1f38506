"""Secrets of a cluster: the key in force, and what an application needs to connect."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owned

PEER_KEY = "api-key"
PEER_READ_ONLY_KEY = "read-only-api-key"
"""Keys of the Secret from which the peers take theirs."""


def connection_secret(cluster: DesiredCluster) -> Manifest:
    """Everything an application needs, with the keys of the Service Binding convention."""
    host = names.service_host(cluster.name, cluster.namespace)
    values = {
        "type": "qdrant",
        "provider": names.FIELD_MANAGER,
        "host": host,
        "port": str(names.REST_PORT),
        "grpc-port": str(names.GRPC_PORT),
        "uri": names.rest_url(host),
        "grpc-uri": f"{host}:{names.GRPC_PORT}",
    }
    if cluster.credentials.api_key:
        values["api-key"] = cluster.credentials.api_key
    return _secret(cluster, names.auth_secret(cluster.name), values, "servicebinding.io/qdrant")


def peer_auth_secret(cluster: DesiredCluster) -> Manifest:
    """The keys that the peers run with, cleaned: they survive the loss of the Secret that applications read.

    They live as long as the volumes do: the same cluster applied again comes back with the same key.
    """
    values = {PEER_KEY: cluster.credentials.api_key or ""}
    if cluster.credentials.read_only:
        values[PEER_READ_ONLY_KEY] = cluster.credentials.read_only
    secret = _secret(cluster, names.peer_auth_secret(cluster.name), values, "Opaque")
    if cluster.spec.persistence.when_deleted == "Retain":
        del secret["metadata"]["ownerReferences"]
    return secret


def _secret(cluster: DesiredCluster, name: str, values: Mapping[str, str], kind: str) -> Manifest:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}
    secret = owned(Kind.SECRET, cluster, name, type=kind, data=data)
    if cluster.credentials.revision:
        revision = {names.ANNOTATION_KEY_REVISION: str(cluster.credentials.revision)}
        secret["metadata"]["annotations"] = revision
    return secret
