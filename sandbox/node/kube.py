"""The few requests a kubelet makes: read, write, and follow a kind. JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from sandbox.credentials import Access

Manifest = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=330)
_WATCH_SECONDS = 300
"""How long the server keeps one watch open; then the next goes on from the last version seen."""
_RETRY_AFTER = 0.5


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Listed:
    """The whole truth of a moment: whatever is not in it is gone."""

    items: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object is new or different."""

    item: Manifest


@dataclass(frozen=True, slots=True)
class Removed:
    """One object is gone."""

    item: Manifest


Notice = Listed | Changed | Removed


class KubeClient:
    """One session with the API server; use as an async context manager."""

    def __init__(self, server: str, token: str, context: ssl.SSLContext) -> None:
        self.server = server
        self.authority = ""
        self._headers = {"Authorization": f"Bearer {token}"}
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> KubeClient:
        """Read one of the sandbox's own kubeconfig files (JSON, one context, token, inline certificate)."""
        access = Access.from_kubeconfig(path)
        context = ssl.create_default_context(cadata=access.authority)
        client = cls(f"https://{access.host}:{access.port}", access.token, context)
        client.authority = access.authority
        return client

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=48)
        self._session = aiohttp.ClientSession(headers=self._headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(self, path: str, **params: str) -> Manifest:
        """Read one object or a list."""
        return await self._request("GET", path, params=params)

    async def find(self, path: str) -> Manifest | None:
        """Read one object, None when it does not exist."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def post(self, path: str, body: Manifest) -> Manifest:
        """Create an object."""
        return await self._request("POST", path, body)

    async def put(self, path: str, body: Manifest) -> Manifest:
        """Replace an object."""
        return await self._request("PUT", path, body)

    async def patch(self, path: str, body: Manifest) -> Manifest:
        """JSON merge patch."""
        return await self._request("PATCH", path, body, content_type="application/merge-patch+json")

    async def delete(self, path: str, body: Manifest | None = None) -> None:
        """Delete an object; gone already is success."""
        try:
            await self._request("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    async def ensure(self, path: str, body: Manifest) -> None:
        """Create an object unless one of this name exists."""
        try:
            await self.post(path, body)
        except ApiError as error:
            if error.status != 409:
                raise

    async def follow(self, path: str, **params: str) -> AsyncIterator[Notice]:
        """Say what there is, then what changes, for ever; a lost connection lists again."""
        while True:
            try:
                listed = await self.get(path, **params)
                yield Listed(tuple(listed["items"]))
                version = str(listed["metadata"]["resourceVersion"])
                async for notice in self._watch(path, version, params):
                    yield notice
            except (aiohttp.ClientError, OSError, TimeoutError, ApiError):
                await asyncio.sleep(_RETRY_AFTER)

    async def _watch(self, path: str, version: str, params: Mapping[str, str]) -> AsyncIterator[Notice]:
        while True:
            options = {
                **params,
                "watch": "1",
                "resourceVersion": version,
                "allowWatchBookmarks": "1",
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            async for event in self._events(path, options):
                item = event["object"]
                if event["type"] == "ERROR":
                    return
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    yield Removed(item)
                elif event["type"] != "BOOKMARK":
                    yield Changed(item)

    async def _events(self, path: str, options: Mapping[str, str]) -> AsyncIterator[Manifest]:
        assert self._session is not None
        url = self.server + path
        async with self._session.get(url, params=options, timeout=_WATCH_TIMEOUT) as response:
            if response.status != 200:
                raise ApiError(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    async def _request(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        assert self._session is not None
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        url = self.server + path
        async with self._session.request(
            method, url, data=data, headers=headers, params=params, timeout=_TIMEOUT
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise ApiError(response.status, _message(text))
            answer: Manifest = json.loads(text)
            return answer


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:400]
