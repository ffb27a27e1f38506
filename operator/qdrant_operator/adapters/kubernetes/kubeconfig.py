"""Credentials of a kubeconfig, read by the official Kubernetes client as kubectl reads them.

The client knows exec plugins, OIDC, client certificates and merged files. Only the address, the certificates and the
Authorization header leave this module, which is the only one that imports the client (extra `kubeconfig`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from kubernetes.aio.config.kube_config import list_kube_config_contexts

from qdrant_operator.adapters.kubernetes.login import (
    ApiServer,
    RefreshingLogin,
    UnusableCredentialsError,
    tls_context,
)

_UNREADABLE = (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError)
"""What the client raises for a file, an exec plugin or a certificate that it cannot use."""


async def load_kubeconfig(path: str, context: str | None) -> ApiServer:
    """The API server of this context (None: the current one). `path` may list several files, as $KUBECONFIG does.

    Raises:
        UnusableCredentialsError: the files give no access.
    """
    configuration = Configuration()
    with _readable():
        loader = await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path, context=context, client_configuration=configuration, persist_config=False
        )
        tls = _tls(configuration)

    async def read() -> str:
        with _readable():
            await loader.load_and_set(configuration)
            if tls is not None and configuration.cert_file:
                # New connections use the new certificate: files rotate while the process runs.
                tls.load_cert_chain(configuration.cert_file, configuration.key_file)
        return _authorization(configuration)

    return ApiServer(
        url=str(configuration.host).rstrip("/"),
        ssl=tls,
        login=RefreshingLogin(_authorization(configuration), read),
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


def context_namespace(path: str, context: str | None) -> str | None:
    """Namespace of this context (None: the current one), `default` where it has none; None: no such context.

    Raises:
        UnusableCredentialsError: the files cannot be read.
    """
    with _readable():
        contexts, current = list_kube_config_contexts(config_file=path)  # type: ignore[no-untyped-call]
    by_name = {found["name"]: found for found in contexts}
    chosen = by_name.get(context) if context else current
    if chosen is None:
        return None
    return str(chosen["context"].get("namespace") or "default")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise UnusableCredentialsError(str(error)) from error


def _authorization(configuration: Any) -> str:
    return str(configuration.api_key.get("BearerToken") or "").strip()


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not str(configuration.host).startswith("https"):
        return None
    context = tls_context(configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
