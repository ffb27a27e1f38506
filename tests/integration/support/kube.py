"""Kubernetes as a test sees it: objects in and out as an administrator, and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.api_server import ApiServer

T = TypeVar("T")
POLL_SECONDS = 0.1
STRICT = {"fieldValidation": "Strict"}
"""Unknown fields are refused."""


class Kube:
    """Administrator's access to one API server."""

    def __init__(self, kubeconfig: Path) -> None:
        self._server = ApiServer.of(kubeconfig)

    def close(self) -> None:
        """End all connections."""
        self._server.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        code, found = self._server.send("GET", _path(kind, namespace, name))
        return None if code == 404 else _checked(code, found)

    def all(self, kind: Kind, namespace: str, selector: str = "") -> list[Manifest]:
        """Objects of one namespace, by name."""
        query = {"labelSelector": selector}
        found: list[Manifest] = self._answer("GET", _path(kind, namespace), query=query)["items"]
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def create(self, manifest: Manifest, namespace: str) -> Manifest:
        """Create an object of one of the operator's kinds, strict about unknown fields."""
        kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
        return self._answer("POST", _path(kind, namespace), manifest, query=STRICT)

    def rejected(self, manifest: Manifest, namespace: str) -> str:
        """The API server's sentence against an object that it does not take."""
        kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
        code, answer = self._server.send("POST", _path(kind, namespace), manifest, query=STRICT)
        assert code in (400, 422), answer
        return str(answer["message"])

    def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Merge patch, strict about unknown fields."""
        path = _path(kind, namespace, name)
        return self._answer("PATCH", path, body, query=STRICT, content_type="application/merge-patch+json")

    def delete(self, kind: Kind, namespace: str, name: str, *, grace: int | None = None) -> None:
        """Delete one object; gone already is fine."""
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        code, answer = self._server.send("DELETE", _path(kind, namespace, name), query=query)
        assert code in (200, 202, 404), answer

    def _answer(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        *,
        query: dict[str, str],
        content_type: str = "application/json",
    ) -> Manifest:
        return _checked(*self._server.send(method, path, body, query=query, content_type=content_type))

    def condition(self, kind: Kind, namespace: str, name: str, condition: str) -> Manifest:
        """A condition of an object as it stands; empty where there is none."""
        status = (self.get(kind, namespace, name) or {}).get("status") or {}
        return next((c for c in status.get("conditions") or () if c["type"] == condition), {})

    def wait_ready(self, kind: Kind, namespace: str, name: str, seconds: float = 60) -> Manifest:
        """What `kubectl wait --for=condition=Ready` waits for: True for the present generation."""

        def ready() -> Manifest | None:
            found = self.get(kind, namespace, name)
            return found if found and is_true(found, "Ready") else None

        return eventually(ready, seconds, lambda: self.tell(kind, namespace, name))

    def wait_reason(
        self, kind: Kind, namespace: str, name: str, condition: str, reason: str, seconds: float = 30
    ) -> str:
        """Wait until a condition has this reason; its message."""

        def told() -> str | None:
            found = self.condition(kind, namespace, name, condition)
            return str(found["message"]) if found.get("reason") == reason else None

        return eventually(told, seconds, lambda: self.tell(kind, namespace, name))

    def tell(self, kind: Kind, namespace: str, name: str) -> str:
        """The object's status as text, for a failed assertion."""
        found = self.get(kind, namespace, name)
        return yaml.safe_dump((found or {}).get("status") or {"nothing": f"no {kind.kind} {name}"})


def is_true(found: Manifest, condition: str) -> bool:
    """Whether a condition is True for the generation that the spec has now."""
    generation = found["metadata"]["generation"]
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(
        c["type"] == condition and c["status"] == "True" and c["observedGeneration"] == generation
        for c in conditions
    )


def eventually(look: Callable[[], T | None], seconds: float, tell: Callable[[], str] = str) -> T:
    """Look until there is something other than None or False; fail with words after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen:\n{tell()}"
        time.sleep(POLL_SECONDS)


def _path(kind: Kind, namespace: str, name: str = "") -> str:
    root = "/apis" if "/" in kind.api_version else "/api"
    parts = [root, kind.api_version, "namespaces", namespace, kind.plural]
    return "/".join(parts + ([name] if name else []))


def _checked(code: int, answer: Manifest) -> Manifest:
    assert 200 <= code < 300, f"{code}: {str(answer)[:800]}"
    return answer
