"""Objects of our group for tests of the API itself: answers as they are, refusals included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.api_server import ApiServer

GROUP = "qdrantoperator.dev/v1alpha1"


class ApiClient:
    """Creates and replaces objects of our group in one namespace; answers are (status code, body)."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        """Read server, certificate and token from the kubeconfig."""
        self._server = ApiServer.of(kubeconfig)
        self._base = f"/apis/{GROUP}/namespaces/{namespace}"
        self._created: list[str] = []

    def create(
        self, plural: str, body: dict[str, Any], *, dry_run: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Create an object; unknown fields are refused."""
        code, answer = self._send("POST", f"/{plural}", body, dry_run=dry_run)
        if code == 201 and not dry_run:
            self._created.append(f"/{plural}/{body['metadata']['name']}")
        return code, answer

    def clean(self) -> None:
        """Delete what was created, and end all connections."""
        while self._created:
            code, answer = self._send("DELETE", self._created.pop(), {}, dry_run=False)
            assert code == 200, answer
        self._server.close()

    def replace(
        self, plural: str, body: dict[str, Any], *, subresource: str = "", dry_run: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Replace an object; unknown fields are refused."""
        path = f"/{plural}/{body['metadata']['name']}{subresource}"
        return self._send("PUT", path, body, dry_run=dry_run)

    def _send(
        self, method: str, path: str, body: dict[str, Any], *, dry_run: bool
    ) -> tuple[int, dict[str, Any]]:
        query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
        return self._server.send(method, self._base + path, body, query=query)
