"""Qdrant's configuration and the script that starts a peer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from qdrant_operator.domain import names
from qdrant_operator.domain.desired import DesiredCluster
from qdrant_operator.domain.manifests.common import owned
from qdrant_operator.domain.wire import Kind, Manifest

STORAGE_PATH = "/qdrant/storage"
OPERATOR_PATH = "/qdrant/operator"
INIT_PATH = "/qdrant/init"

RENDERED = 128
"""Configurations that are kept as text, of 64 KiB at most; the least recently used one goes first."""

START_SCRIPT = f"""#!/bin/sh
# Starts this pod's peer as PID 1, so that SIGTERM reaches Qdrant itself.
# A volume that holds a member's Raft state starts as that member: Qdrant then ignores --bootstrap.
# A volume without one may start alone only in the pod that QDRANT_FIRST_POD names, once in a cluster's life;
# in every other case it joins through another member, or fails and waits for the kubelet's next try.
set -eu
cd /qdrant
# Qdrant listens on 0.0.0.0 by default. On Linux :: takes connections of both families; it exists only where IPv6 does.
case "${{POD_IPS:-}}" in
  *:*) QDRANT__SERVICE__HOST=:: ;;
  *) QDRANT__SERVICE__HOST="${{QDRANT__SERVICE__HOST:-0.0.0.0}}" ;;
esac
export QDRANT__SERVICE__HOST
set -- --config-path {OPERATOR_PATH}/config.yaml --uri "$QDRANT_PEER_URI"
if [ "${{QDRANT_FIRST_POD:-}}" = "$POD_NAME" ]; then
  exec ./qdrant "$@"
fi
attempt=$(cat {INIT_PATH}/attempt 2>/dev/null || echo 0)
echo $((attempt + 1)) > {INIT_PATH}/attempt
others=$(grep -v -x -F "$QDRANT_PEER_URI" {OPERATOR_PATH}/members || true)
count=$(printf '%s\\n' "$others" | grep -c . || true)
if [ "$count" -gt 0 ]; then
  target=$(printf '%s\\n' "$others" | sed -n "$((attempt % count + 1))p")
else
  target=$(cat {OPERATOR_PATH}/nobody)
fi
exec ./qdrant "$@" --bootstrap "$target"
"""


def config_map(cluster: DesiredCluster) -> Manifest:
    """Configuration, start script and the members to join through."""
    pods = [names.pod_name(cluster.name, ordinal) for ordinal in range(cluster.members)]
    uris = [names.peer_uri(cluster.name, cluster.namespace, pod) for pod in pods]
    nobody = names.peer_uri(cluster.name, cluster.namespace, "nobody")
    data = {
        "config.yaml": _yaml(json.dumps(qdrant_config(cluster), sort_keys=True)),
        "start.sh": START_SCRIPT,
        "members": "".join(f"{uri}\n" for uri in uris),
        "nobody": f"{nobody}\n",
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
