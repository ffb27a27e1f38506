"""The namespace that a command means when none is given: the kubeconfig's, or the pod's own."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import list_kube_config_contexts

from qdrant_operator.domain.common.errors import Refused

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where the kubelet writes the namespace of a pod with a service account."""


def in_pod(kubeconfig: str | None) -> bool:
    """Whether credentials come from a pod's service account, as `credentials.load_api_server` chooses them."""
    given = kubeconfig or os.environ.get("KUBECONFIG")
    return not given and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def current_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Namespace of the context (or of the pod); `default` where none is named.

    Raises:
        Refused: `InvalidCredentials`: the kubeconfig cannot be read, or has no such context.
    """
    if in_pod(kubeconfig):
        return POD_NAMESPACE.read_text().strip() if POD_NAMESPACE.exists() else "default"
    path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    try:
        contexts, active = list_kube_config_contexts(config_file=path)  # type: ignore[no-untyped-call]
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        raise Refused("InvalidCredentials", f"{path} gives no access: {error}") from error
    chosen = next((one for one in contexts if one["name"] == context), None) if context else active
    if chosen is None:
        raise Refused("InvalidCredentials", f"{path} has no context {context!r}")
    return str(chosen["context"].get("namespace") or "default")
