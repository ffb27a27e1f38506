"""Peers seen from outside the cluster's network: their REST API through the API server's pod proxy.

Reads only. The caller's Kubernetes credentials let the request in (`get` on `pods/proxy`); the peer's own API key
travels along in its header. Slower than the pod's address, and for people's eyes only: the loop never uses it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from qdrant_operator.adapters.qdrant.http import ObserveLatency, PeerHttp
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json
from qdrant_operator.domain.qdrant.views import PeerView

FindPod = Callable[[str], tuple[str, str]]
"""Namespace and name of the pod with a uid."""
_STATUS = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)')
"""The API server's own errors are Status objects, perhaps cut short."""


class ProxiedPeers(QdrantRest):
    """Looks at peers by way of the API server."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, find_pod: FindPod, observe_latency: ObserveLatency
    ) -> None:
        """Use the session that authenticates at the API server `url`; its owner closes it."""
        super().__init__(observe_latency)
        self._http = _OneSession(session, observe_latency)
        self._url, self._find_pod = url, find_pod

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """As `QdrantRest`; what the API server itself says against it is told in its words."""
        try:
            return await super().observe(self._through(endpoint))
        except Refused as error:
            raise Refused(error.reason, _words(str(error))) from error
        except Unreachable as error:
            raise Unreachable(_words(str(error)), after=error.after) from error

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json:
        """As `QdrantRest`."""
        return await super().cluster_key(self._through(endpoint), key)

    def _through(self, endpoint: Endpoint) -> Endpoint:
        namespace, pod = self._find_pod(endpoint.identity)
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}:{names.REST_PORT}/proxy"
        return Endpoint(self._url + path, endpoint.identity, endpoint.api_key)


class _OneSession(PeerHttp):
    """All peers are behind one server, so there is one pool."""

    def __init__(self, session: aiohttp.ClientSession, observe_latency: ObserveLatency) -> None:
        super().__init__(observe_latency, _never)
        self._shared = session

    @asynccontextmanager
    async def _session(self, _endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        yield self._shared


def _never() -> bool:
    """People's commands only look."""
    return False


def _words(message: str) -> str:
    found = _STATUS.search(message)
    if not found or '"Status"' not in message:
        return message
    return "the API server's pod proxy says: " + found[1].replace('\\"', '"')
