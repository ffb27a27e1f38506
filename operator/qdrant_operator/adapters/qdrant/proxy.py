"""Peers from outside the network of the cluster: their REST API through the pod proxy of the API server.

Reads only. Requests need `get` on `pods/proxy` for the Kubernetes credentials of the caller, and carry the API key of
the peers in a header. Slower than the address of the pod: for commands only, the loop never uses it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from qdrant_operator.adapters.leadership import never
from qdrant_operator.adapters.qdrant.http import ObserveLatency, PeerHttp
from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint, Json
from qdrant_operator.domain.qdrant.views import PeerView

FindPod = Callable[[str], tuple[str, str]]
"""Returns namespace and name of the pod with a uid."""
_STATUS = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)')
"""Errors of the API server are Status objects, which may be truncated."""


class ProxiedPeers(QdrantRest):
    """Reads peers through the API server."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, find_pod: FindPod, observe_latency: ObserveLatency
    ) -> None:
        """Use the session that authenticates at the API server `url`; its owner closes it."""
        super().__init__(observe_latency)
        self._http = _OneSession(session, observe_latency)
        self._url, self._find_pod = url, find_pod

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """As `QdrantRest`; an error of the API server keeps its message."""
        try:
            return await super().observe(self._through(endpoint))
        except Refused as error:
            raise Refused(error.reason, _message(str(error))) from error
        except Unreachable as error:
            raise Unreachable(_message(str(error)), after=error.after) from error

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json:
        """As `QdrantRest`."""
        return await super().cluster_key(self._through(endpoint), key)

    def _through(self, endpoint: Endpoint) -> Endpoint:
        namespace, pod = self._find_pod(endpoint.identity)
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}:{names.REST_PORT}/proxy"
        return Endpoint(self._url + path, endpoint.identity, endpoint.api_key)


class _OneSession(PeerHttp):
    """One session for all peers: they are behind one server."""

    def __init__(self, session: aiohttp.ClientSession, observe_latency: ObserveLatency) -> None:
        super().__init__(observe_latency, never)
        self._shared = session

    @asynccontextmanager
    async def _session(self, _endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        yield self._shared


def _message(message: str) -> str:
    found = _STATUS.search(message)
    if not found or '"Status"' not in message:
        return message
    return "the API server's pod proxy says: " + found[1].replace('\\"', '"')
