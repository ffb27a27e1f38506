"""Qdrant's configuration, and the ConfigMap that holds it beside the start script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.manifests.common import owned
from qdrant_operator.domain.manifests.start_script import (
    ALLOWED_FILE,
    FIRST_FILE,
    START_SCRIPT,
    STORAGE_PATH,
)

RENDERED = 128
"""Configurations that are kept as text, of 64 KiB at most; the least recently used one goes first."""


def config_map(cluster: DesiredCluster) -> Manifest:
    """Configuration, start script and the peers to join through."""
    pods = [names.pod_name(cluster.name, ordinal) for ordinal in range(cluster.pod_count)]
    uris = [names.peer_uri(cluster.name, cluster.namespace, pod) for pod in pods]
    unresolvable = names.peer_uri(cluster.name, cluster.namespace, "nobody")
    data = {
        "config.yaml": _yaml(json.dumps(qdrant_config(cluster), sort_keys=True)),
        "start.sh": START_SCRIPT,
        "members": "".join(f"{uri}\n" for uri in uris),
        "nobody": f"{unresolvable}\n",
        FIRST_FILE: f"{cluster.first_pod}\n",
        ALLOWED_FILE: f"{cluster.allowed_downgrade}\n",
    }
    return owned(Kind.CONFIG_MAP, cluster, names.config_map(cluster.name), data=data)


@lru_cache(maxsize=RENDERED)
def _yaml(document: str) -> str:
    """A JSON document as YAML: 64 KiB take a tenth of a second, and every pass asks for the same ones."""
    return str(yaml.safe_dump(json.loads(document), sort_keys=True))


def qdrant_config(cluster: DesiredCluster) -> dict[str, Any]:
    """The user's configuration with the operator's own keys on top."""
    return _merged(cluster.spec.config or {}, OWN)


OWN: Mapping[str, Any] = {
    "cluster": {"enabled": True, "p2p": {"port": names.P2P_PORT, "enable_tls": False}},
    "service": {"http_port": names.REST_PORT, "grpc_port": names.GRPC_PORT, "enable_tls": False},
    "storage": {
        "storage_path": STORAGE_PATH,
        "snapshots_path": f"{STORAGE_PATH}/snapshots",
        "snapshots_config": {"snapshots_storage": "local"},
    },
}
"""What the operator sets, in the file and in the environment; service.host is set by the start script."""


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = _merged(old or {}, value) if nested else value
    return result
