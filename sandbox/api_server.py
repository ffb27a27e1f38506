"""JSON requests to an API server with the token of one of the sandbox's kubeconfig files: for tests and the demo.

The node has an asynchronous client of its own, which also follows changes (`sandbox.node.kube`).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from sandbox.credentials import Access

Manifest = dict[str, Any]
SECONDS = 30.0
"""Until an answer must be there."""


class ApiServer:
    """One user's connections to one API server."""

    def __init__(self, access: Access, timeout: float = SECONDS) -> None:
        """Connect at the first request; proxies of the environment are not used."""
        self._http = httpx.Client(
            base_url=f"https://{access.host}:{access.port}",
            verify=ssl.create_default_context(cadata=access.authority),
            headers={"Authorization": f"Bearer {access.token}"},
            timeout=timeout,
            trust_env=False,
        )

    @classmethod
    def of(cls, kubeconfig: Path) -> ApiServer:
        """The server and the user of a kubeconfig file that the sandbox has written."""
        return cls(Access.from_kubeconfig(kubeconfig))

    def close(self) -> None:
        """End all connections."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Manifest]:
        """Send one request; the status code and the body of its answer, whatever the code.

        Raises:
            httpx.HTTPError: no answer.
            ValueError: the answer is no JSON.
        """
        headers = {"Content-Type": content_type} if body is not None else {}
        answer = self._http.request(method, path, json=body, params=query, headers=headers)
        content: Manifest = answer.json()
        return answer.status_code, content
