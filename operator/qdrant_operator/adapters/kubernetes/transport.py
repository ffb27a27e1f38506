"""Requests to the API server: address, time-out, and the errors that answers become.

No retries (the loop does them) and no caches; `client`, `informer`, `lease` and `events` use it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import aiohttp

from qdrant_operator.adapters.leadership import MayAct, always
from qdrant_operator.domain.common.errors import Conflict, Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest

TIMEOUT_SECONDS: Final = 20.0
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
JSON: Final = "application/json"
_MESSAGE_LIMIT: Final = 600
_OTHER_UID: Final = "is invalid: metadata.uid: Invalid value"
"""The server's message for an apply to an object that was deleted and created again, with code 422 (1.36)."""
_UNTYPED: Final = "failed to create typed patch object"
"""The server's message for an unknown field or a wrong type in a server-side apply, with code 500 (1.36)."""


class NotFound(Retryable):
    """The object or its namespace does not exist."""


class AlreadyExists(Refused):
    """An object with the name of a create exists."""


def path_of(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    """Path of an object, or of a kind's collection; an empty namespace means all of them."""
    root = "/api/" if "/" not in kind.api_version else "/apis/"
    parts = [root + kind.api_version]
    parts += ["namespaces", namespace] if namespace else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join(parts)


def selector(labels: Mapping[str, str]) -> dict[str, str]:
    """Query parameters that select objects with all these labels."""
    return {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}


class Transport:
    """Sends requests; every failure leaves as `Retryable` or `Refused`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        is_holder: MayAct = always,
    ) -> None:
        """Use `session` for `url`; `timeout` in seconds per request; `is_holder` is checked before every write."""
        self.session = session
        self.url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._is_holder = is_holder

    async def get(self, kind: Kind, path: str, params: Mapping[str, str] | None = None) -> Manifest:
        """GET a path of this kind.

        Raises:
            NotFound: 404.
            Refused: missing permissions.
            Retryable: any error that a retry may solve.
        """
        return await self._send("GET", kind, path, params or {}, None, JSON)

    async def write(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        body: Manifest,
        params: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        """POST, PATCH, PUT or DELETE a path of this kind.

        Raises:
            NotFound: 404.
            Conflict: the version or uid in `body` is not the current one.
            AlreadyExists: POST of a name that exists.
            Refused: `Invalid`, `Forbidden` or `NamespaceTerminating`; the message is the server's, shortened.
            Retryable: any error that a retry may solve, and when this process does not hold the Lease;
                `Unreachable` when it is unknown whether the call had an effect.
        """
        if not self._is_holder():
            raise Retryable(f"not the leader: {method} {path} was not sent")
        return await self._send(method, kind, path, params or {}, body, content_type)

    async def _send(
        self,
        method: str,
        kind: Kind,
        path: str,
        params: Mapping[str, str],
        body: Manifest | None,
        content_type: str,
    ) -> Manifest:
        what = f"{method} {path}"
        headers = {} if body is None else {"Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        try:
            async with self.session.request(
                method,
                self.url + path,
                params=dict(params),
                data=data,
                headers=headers,
                timeout=self._timeout,
            ) as response:
                answer = await _json(response)
                if response.status >= 400:
                    fail(method, kind, path, response.status, answer, _retry_after(response.headers))
                return answer
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer in {self._timeout.total:g} s", after=2.0) from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"{what}: {error}", after=2.0) from error


def fail(method: str, kind: Kind, path: str, code: int, answer: Manifest, after: float) -> NoReturn:
    """Raise the error of an answer with code 400 or more."""
    message = f"{method} {path}: {_shortened(answer, code)}"
    reason = answer.get("reason")
    # Without this reason the object may exist: proxies, and kinds that are being registered, answer 404 too.
    if code == 404 and reason == "NotFound":
        raise NotFound(message, after=after)
    if code == 409 and reason == "AlreadyExists":
        raise AlreadyExists("AlreadyExists", message)
    if code == 409 or (code == 422 and _OTHER_UID in message):
        raise Conflict(message, after=min(after, 1.0))
    if code in (400, 405, 406, 413, 415, 422) or _UNTYPED in message:
        raise Refused("Invalid", message)
    if code == 403:
        raise _forbidden(method, kind, path, answer, message)
    raise Retryable(message, after=after)


_VERBS: Final = {
    "GET": "get, list or watch",
    "POST": "create",
    "PATCH": "patch",
    "PUT": "update",
    "DELETE": "delete",
}


def _forbidden(method: str, kind: Kind, path: str, answer: Manifest, message: str) -> Refused:
    causes = [cause.get("reason") for cause in (answer.get("details") or {}).get("causes") or ()]
    if "NamespaceTerminating" in causes:
        return Refused("NamespaceTerminating", message)
    status = "/status" if path.endswith("/status") else ""
    return Refused("Forbidden", f"not allowed to {_VERBS[method]} {kind.plural}{status}: {message}")


async def _json(response: aiohttp.ClientResponse) -> Manifest:
    text = await response.text()
    try:
        parsed: Any = await response.json(content_type=None)
    except ValueError:
        parsed = None
    # Proxies, and the server before it is ready, answer in plain text.
    return parsed if isinstance(parsed, dict) else {"message": text}


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(1.0, float(headers.get("Retry-After", "5")))
    except ValueError:
        return 5.0


def _shortened(answer: Manifest, code: int) -> str:
    message = " ".join(str(answer.get("message") or f"HTTP {code}").split())
    return message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…"
