"""Credentials: who we are to the API server, and how to keep that true while the process lives.

The official client reads what kubectl reads (kubeconfig, exec plugins, OIDC, service accounts); nothing of
it but the address, the certificates and the headers leaves this module. Tokens expire: headers are asked for
per request, and a 401 makes the next request read them anew.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from qdrant_operator.domain.common.errors import Refused

REFRESH_SECONDS = 60.0
"""Service-account tokens live at least ten minutes and are rotated at 80 % of that (kubelet)."""
CONNECTIONS = 64
"""Connections per session. Watches hold theirs for good: give them a session of their own (limit 0)."""


class Login(Protocol):
    """Source of the headers that authenticate a request."""

    async def headers(self) -> Mapping[str, str]:
        """Headers for a request sent now."""
        ...

    def expire(self) -> None:
        """Tell that the server refused the latest headers (401): the next call reads them anew."""
        ...


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server answers, and how to be let in."""

    url: str
    """Scheme, host and port, without a slash at the end."""
    ssl: ssl.SSLContext | None
    """None for plain HTTP."""
    login: Login
    server_name: str | None = None
    """Name to expect in the server's certificate where it is not the URL's host."""
    proxy: str | None = None


async def load_api_server(kubeconfig: str | None = None, context: str | None = None) -> ApiServer:
    """Find the API server: `kubeconfig`, $KUBECONFIG, the pod's service account or ~/.kube/config, in turn.

    Raises:
        Refused: `InvalidCredentials`, when nothing usable is found; the message says where was looked.
    """
    configuration = Configuration()
    try:
        refresh = await _load(configuration, kubeconfig, context)
        tls = _ssl_context(configuration)
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        raise Refused("InvalidCredentials", f"{_source(kubeconfig)} gives no access: {error}") from error
    login = _RefreshingLogin(configuration, refresh, tls)
    return ApiServer(
        url=str(configuration.host).rstrip("/"),
        ssl=tls,
        login=login,
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


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


Refresh = Callable[[], Awaitable[None]]


class _RefreshingLogin:
    """Headers from the official client's configuration, read again when they may have changed."""

    def __init__(self, configuration: Any, refresh: Refresh, tls: ssl.SSLContext | None) -> None:
        self._configuration = configuration
        self._refresh = refresh
        self._tls = tls
        self._lock = asyncio.Lock()
        self._fresh_until = time.monotonic() + REFRESH_SECONDS

    async def headers(self) -> Mapping[str, str]:
        """Headers for a request sent now; refreshed by one caller at a time."""
        if time.monotonic() >= self._fresh_until:
            async with self._lock:
                if time.monotonic() >= self._fresh_until:
                    await self._renew()
        token = str(self._configuration.api_key.get("BearerToken") or "").strip()
        return {"Authorization": token} if token else {}

    def expire(self) -> None:
        """Read credentials again before the next request."""
        self._fresh_until = 0.0

    async def _renew(self) -> None:
        self._fresh_until = time.monotonic() + REFRESH_SECONDS
        try:
            await self._refresh()
        except (ConfigException, yaml.YAMLError, OSError, ValueError) as error:
            raise aiohttp.ClientConnectionError(f"credentials cannot be refreshed: {error}") from error
        if self._tls is not None and self._configuration.cert_file:
            # New connections use the new certificate: files rotate under a living process.
            self._tls.load_cert_chain(self._configuration.cert_file, self._configuration.key_file)


async def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> Refresh:
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if not path and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _load_service_account(configuration)
    loader = await load_kube_config(  # type: ignore[no-untyped-call]
        config_file=path or str(Path.home() / ".kube" / "config"),
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )

    async def refresh() -> None:
        await loader.load_and_set(configuration)

    return refresh


def _load_service_account(configuration: Any) -> Refresh:
    load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]

    async def refresh() -> None:
        load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]

    return refresh


def _ssl_context(configuration: Any) -> ssl.SSLContext | None:
    if not str(configuration.host).startswith("https"):
        return None
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Cluster CAs often lack extensions that Python 3.13 began to demand; kubectl does not ask for them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _source(kubeconfig: str | None) -> str:
    if kubeconfig:
        return f"--kubeconfig {kubeconfig}"
    if os.environ.get("KUBECONFIG"):
        return f"KUBECONFIG={os.environ['KUBECONFIG']}"
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "the pod's service account"
    return "~/.kube/config"
