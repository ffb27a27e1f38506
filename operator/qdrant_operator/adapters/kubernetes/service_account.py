"""Credentials of a pod: the API server's address from the environment, token and CA from the mounted service account.

The same rules as client-go's `rest.InClusterConfig`. No library is needed for them, so the operator's image has none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qdrant_operator.adapters.kubernetes.login import (
    ApiServer,
    RefreshingLogin,
    UnusableCredentialsError,
    tls_context,
)

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts the service account of a pod."""
HOST = "KUBERNETES_SERVICE_HOST"
PORT = "KUBERNETES_SERVICE_PORT"
"""Environment variables that the kubelet sets in every container."""


def load_service_account(environment: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> ApiServer:
    """The API server as this pod reaches it.

    Raises:
        UnusableCredentialsError: a variable is not set, or a file is missing or empty.
    """

    async def read() -> str:
        return _authorization(folder / "token")

    login = RefreshingLogin(_authorization(folder / "token"), read)
    authority = folder / "ca.crt"
    _content(authority)
    try:
        return ApiServer(_url(environment), tls_context(str(authority)), login)
    except OSError as error:
        raise UnusableCredentialsError(f"{authority}: {error}") from error


def service_account_namespace(folder: Path = FOLDER) -> str:
    """Namespace of this pod; `default` where no service account is mounted."""
    file = folder / "namespace"
    return file.read_text().strip() if file.exists() else "default"


def _url(environment: Mapping[str, str]) -> str:
    host, port = environment.get(HOST), environment.get(PORT)
    if not host or not port:
        raise UnusableCredentialsError(f"{HOST} and {PORT} must be set")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _authorization(token: Path) -> str:
    return f"Bearer {_content(token)}"


def _content(file: Path) -> str:
    try:
        content = file.read_text().strip()
    except OSError as error:
        raise UnusableCredentialsError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnusableCredentialsError(f"{file} cannot be read: it is not text") from error
    if not content:
        raise UnusableCredentialsError(f"{file} is empty")
    return content
