"""Kubernetes as a test sees it: objects in and out as an administrator, and waiting with a deadline."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import yaml

from qdrant_operator.domain.common.kinds import Kind, Manifest

T = TypeVar("T")
POLL_SECONDS = 0.1


class Kube:
    """Administrator's access to one API server."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        token = config["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._http = httpx.Client(
            base_url=cluster["server"],
            verify=ssl.create_default_context(cadata=authority),
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
            trust_env=False,
        )

    def close(self) -> None:
        """End all connections."""
        self._http.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object, None when it does not exist."""
        answer = self._http.get(_path(kind, namespace, name))
        return None if answer.status_code == 404 else _manifest(answer)

    def all(self, kind: Kind, namespace: str, selector: str = "") -> list[Manifest]:
        """Objects of one namespace, by name."""
        answer = _manifest(self._http.get(_path(kind, namespace), params={"labelSelector": selector}))
        found: list[Manifest] = answer["items"]
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def create(self, manifest: Manifest, namespace: str) -> Manifest:
        """Create an object of one of the operator's kinds, strict about unknown fields."""
        kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
        path = _path(kind, namespace)
        return _manifest(self._http.post(path, json=manifest, params={"fieldValidation": "Strict"}))

    def rejected(self, manifest: Manifest, namespace: str) -> str:
        """The API server's sentence against an object that it does not take."""
        kind = next(kind for kind in Kind if kind.kind == manifest["kind"])
        answer = self._http.post(_path(kind, namespace), json=manifest, params={"fieldValidation": "Strict"})
        assert answer.status_code in (400, 422), answer.text
        return str(answer.json()["message"])

    def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Merge patch, strict about unknown fields."""
        headers = {"Content-Type": "application/merge-patch+json"}
        params = {"fieldValidation": "Strict"}
        return _manifest(
            self._http.patch(_path(kind, namespace, name), json=body, headers=headers, params=params)
        )

    def delete(self, kind: Kind, namespace: str, name: str, *, grace: int | None = None) -> None:
        """Delete one object; gone already is fine."""
        params = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        answer = self._http.delete(_path(kind, namespace, name), params=params)
        assert answer.status_code in (200, 202, 404), answer.text

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


def _manifest(answer: httpx.Response) -> Manifest:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text[:800]}"
    body: Manifest = answer.json()
    return body
