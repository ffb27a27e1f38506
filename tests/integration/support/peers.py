"""Qdrant as a test sees it: every peer of a cluster asked directly."""

from __future__ import annotations

import base64
from typing import Any

import httpx

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import auth_secret, peer_selector
from tests.integration.support.kube import Kube


class Peers:
    """The peers of one cluster."""

    def __init__(self, kube: Kube, namespace: str, cluster: str = "vectors") -> None:
        self._kube, self._namespace, self._cluster = kube, namespace, cluster

    @property
    def key(self) -> str:
        """API key from the Secret that applications read."""
        secret = self._kube.get(Kind.SECRET, self._namespace, auth_secret(self._cluster))
        assert secret is not None
        return base64.b64decode(secret["data"]["api-key"]).decode()

    def pods(self) -> dict[str, str]:
        """Pod names and addresses."""
        return {pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in self._found()}

    def uids(self) -> dict[str, str]:
        """Pod names and uids: the same ones mean that no pod was replaced."""
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self._found()}

    def ask(self, pod: str, method: str, path: str, body: Any = None) -> Any:
        """One request to one peer; the `result` of its answer."""
        url = f"http://{self.pods()[pod]}:6333{path}"
        answer = httpx.request(
            method, url, json=body, headers={"api-key": self.key}, timeout=30, trust_env=False
        )
        assert answer.status_code == 200, f"{method} {url}: {answer.status_code} {answer.text[:400]}"
        return answer.json()["result"]

    def upload(self, pod: str, path: str, content: bytes) -> None:
        """Give a snapshot's file to one peer."""
        url = f"http://{self.pods()[pod]}:6333{path}"
        files = {"snapshot": ("restored.snapshot", content)}
        answer = httpx.post(url, files=files, headers={"api-key": self.key}, timeout=60, trust_env=False)
        assert answer.status_code == 200, f"POST {url}: {answer.status_code} {answer.text[:400]}"

    def memberships(self) -> dict[str, frozenset[str]]:
        """Which peers each pod's peer knows."""
        return {pod: frozenset(self.ask(pod, "GET", "/cluster")["peers"]) for pod in self.pods()}

    def count(self, collection: str, pod: str | None = None) -> int:
        """Exact count of points."""
        through = pod or next(iter(self.pods()))
        path = f"/collections/{collection}/points/count"
        return int(self.ask(through, "POST", path, {"exact": True})["count"])

    def upsert(self, collection: str, ids: range, pod: str | None = None) -> None:
        """Write points and wait for them."""
        through = pod or next(iter(self.pods()))
        points = [{"id": n, "vector": [1.0, float(n % 5), 0.5, 0.25]} for n in ids]
        self.ask(through, "PUT", f"/collections/{collection}/points?wait=true", {"points": points})

    def _found(self) -> list[Manifest]:
        selector = ",".join(f"{key}={value}" for key, value in peer_selector(self._cluster).items())
        return self._kube.all(Kind.POD, self._namespace, selector)
