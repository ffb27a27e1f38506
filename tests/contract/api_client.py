"""The least of a Kubernetes client for tests of the API itself: JSON over HTTPS with a kubeconfig's token."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

GROUP = "qdrantoperator.dev/v1alpha1"


class ApiClient:
    """Creates and replaces objects of our group in one namespace; answers are (status code, body)."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        """Read server, certificate and token from the kubeconfig."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._base = f"{cluster['server']}/apis/{GROUP}/namespaces/{namespace}"
        self._token = config["users"][0]["user"]["token"]
        handlers = (urllib.request.HTTPSHandler(context=_context(cluster)), urllib.request.ProxyHandler({}))
        self._created: list[str] = []
        self._opener = urllib.request.build_opener(*handlers)

    def create(
        self, plural: str, body: dict[str, Any], *, dry_run: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Create an object; unknown fields are refused."""
        code, answer = self._send("POST", f"/{plural}", body, dry_run=dry_run)
        if code == 201 and not dry_run:
            self._created.append(f"/{plural}/{body['metadata']['name']}")
        return code, answer

    def clean(self) -> None:
        """Delete what was created."""
        while self._created:
            code, answer = self._send("DELETE", self._created.pop(), {}, dry_run=False)
            assert code == 200, answer

    def replace(
        self, plural: str, body: dict[str, Any], *, subresource: str = "", dry_run: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Replace an object; unknown fields are refused."""
        path = f"/{plural}/{body['metadata']['name']}{subresource}"
        return self._send("PUT", path, body, dry_run=dry_run)

    def _send(
        self, method: str, path: str, body: dict[str, Any], *, dry_run: bool
    ) -> tuple[int, dict[str, Any]]:
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        request = urllib.request.Request(
            self._base + path + query,
            data=json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def _context(cluster: dict[str, Any]) -> ssl.SSLContext:
    data = cluster.get("certificate-authority-data")
    return ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=base64.b64decode(data).decode() if data else None,
    )
