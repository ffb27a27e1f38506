"""The API server's address and the headers that authenticate requests, kept valid while the process runs.

Where they come from is the business of `service_account` and `kubeconfig`. Tokens expire: headers are asked for per
request, and after a 401 the source is read again before the next request.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

REFRESH_SECONDS = 60.0
"""Service-account tokens live at least ten minutes and are rotated at 80 % of that (kubelet)."""


class UnusableCredentialsError(Exception):
    """A source of credentials cannot be read, or lacks something; the message says which file or field."""


class Login(Protocol):
    """Source of the headers that authenticate a request."""

    async def headers(self) -> Mapping[str, str]:
        """Headers for a request sent now."""
        ...

    def expire(self) -> None:
        """The server refused the latest headers (401): read them again before the next request."""
        ...


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server answers, and how to authenticate there."""

    url: str
    """Scheme, host and port, without a slash at the end."""
    ssl: ssl.SSLContext | None
    """None for plain HTTP."""
    login: Login
    server_name: str | None = None
    """Name to expect in the server's certificate where it is not the URL's host."""
    proxy: str | None = None


ReadAuthorization = Callable[[], Awaitable[str]]
"""Reads the value of the Authorization header from its source; empty: none. Raises `UnusableCredentialsError`."""


class RefreshingLogin:
    """An Authorization header that is read again every `REFRESH_SECONDS`, and after a refusal."""

    def __init__(self, authorization: str, read: ReadAuthorization) -> None:
        """Begin with the value that was read just now."""
        self._authorization = authorization
        self._read = read
        self._lock = asyncio.Lock()
        self._fresh_until = time.monotonic() + REFRESH_SECONDS

    async def headers(self) -> Mapping[str, str]:
        """Headers for a request sent now; one caller at a time refreshes them."""
        if not self._is_fresh():
            async with self._lock:
                if not self._is_fresh():
                    await self._refresh()
        return {"Authorization": self._authorization} if self._authorization else {}

    def expire(self) -> None:
        """Read credentials again before the next request."""
        self._fresh_until = 0.0

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._fresh_until

    async def _refresh(self) -> None:
        # Set first: while the source cannot be read, requests are sent with the last known header.
        self._fresh_until = time.monotonic() + REFRESH_SECONDS
        try:
            self._authorization = await self._read()
        except UnusableCredentialsError as error:
            raise aiohttp.ClientConnectionError(f"credentials cannot be refreshed: {error}") from error


def tls_context(authority: str | None) -> ssl.SSLContext:
    """TLS that trusts this file of CA certificates; None: what the system trusts."""
    context = ssl.create_default_context(cafile=authority)
    # Cluster CAs often lack extensions that Python 3.13 began to demand; kubectl does not ask for them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
