"""Access to the API server: which credentials are used, and sessions that send them.

In turn: the kubeconfig that is named, the pod's service account, ~/.kube/config.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import aiohttp

from qdrant_operator.adapters.kubernetes.login import ApiServer, UnusableCredentialsError
from qdrant_operator.adapters.kubernetes.service_account import (
    HOST,
    load_service_account,
    service_account_namespace,
)
from qdrant_operator.domain.common.errors import Refused

CONNECTIONS = 64
"""Connections per session. Watches hold theirs permanently: they need a session of their own (limit 0)."""


async def load_api_server(kubeconfig: str | None = None, context: str | None = None) -> ApiServer:
    """Find the API server: `kubeconfig`, $KUBECONFIG, the pod's service account or ~/.kube/config, in turn.

    Raises:
        Refused: `InvalidCredentials`, when nothing usable is found; the message names the source.
    """
    try:
        if in_pod(kubeconfig):
            return load_service_account()
        library = _kubeconfig_library(kubeconfig)
        server: ApiServer = await library.load_kubeconfig(_path(kubeconfig), context)
    except UnusableCredentialsError as error:
        raise _invalid(f"{_source(kubeconfig)} gives no access: {error}") from error
    return server


def current_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """Namespace of the context (or of the pod); `default` where none is named.

    Raises:
        Refused: `InvalidCredentials`: the kubeconfig cannot be read, or has no such context.
    """
    if in_pod(kubeconfig):
        return service_account_namespace()
    library = _kubeconfig_library(kubeconfig)
    try:
        namespace: str | None = library.context_namespace(_path(kubeconfig), context)
    except UnusableCredentialsError as error:
        raise _invalid(f"{_path(kubeconfig)} gives no access: {error}") from error
    if namespace is None:
        raise _invalid(f"{_path(kubeconfig)} has no context {context!r}")
    return namespace


def in_pod(kubeconfig: str | None) -> bool:
    """Whether the pod's service account is used."""
    given = kubeconfig or os.environ.get("KUBECONFIG")
    return not given and bool(os.environ.get(HOST))


def open_session(server: ApiServer, *, limit: int = CONNECTIONS) -> aiohttp.ClientSession:
    """A session that authenticates every request; the caller closes it. `limit` 0 means no bound."""
    connector = aiohttp.TCPConnector(limit=limit, ssl=server.ssl or True)
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        proxy=server.proxy,
        headers={"User-Agent": "qdrant-operator", "Accept": "application/json"},
        middlewares=(_authenticating(server),),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _authenticating(server: ApiServer) -> aiohttp.ClientMiddlewareType:
    async def authenticate(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(await server.login.headers())
        request.server_hostname = server.server_name
        response = await handler(request)
        if response.status == 401:
            server.login.expire()
        return response

    return authenticate


def _kubeconfig_library(kubeconfig: str | None) -> ModuleType:
    """The module that reads kubeconfigs; imported here, because the operator's image lacks the client it needs."""
    try:
        from qdrant_operator.adapters.kubernetes import kubeconfig as library  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "kubernetes":
            raise
        remedy = "install qdrant-operator[kubeconfig], or run in a pod with a service account"
        raise _invalid(
            f"{_source(kubeconfig)} cannot be read without the Kubernetes client: {remedy}"
        ) from error
    return library


def _path(kubeconfig: str | None) -> str:
    return kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def _source(kubeconfig: str | None) -> str:
    if kubeconfig:
        return f"--kubeconfig {kubeconfig}"
    if os.environ.get("KUBECONFIG"):
        return f"KUBECONFIG={os.environ['KUBECONFIG']}"
    if os.environ.get(HOST):
        return "the pod's service account"
    return "~/.kube/config"


def _invalid(sentence: str) -> Refused:
    return Refused("InvalidCredentials", sentence)
