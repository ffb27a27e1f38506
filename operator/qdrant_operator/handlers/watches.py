"""Our kinds, watched by kopf. Event handlers only: they write nothing on users' objects and feed the caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from qdrant_operator.adapters.kubernetes.credentials import open_session
from qdrant_operator.adapters.kubernetes.login import ApiServer
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.handlers.wakeups import OWN_KINDS

Feed = Callable[[Kind, Any, Any], None]


def build_registry(server: ApiServer, feed: Feed) -> kopf.OperatorRegistry:
    """Handlers for our kinds, and a login that shares our way to the API server."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        # Each watch holds a connection for good, so there is no bound on this session's connections.
        return kopf.AiohttpSession(server=server.url, aiohttp_session=open_session(server, limit=0))

    for kind in OWN_KINDS:
        _watch(registry, kind, feed)
    return registry


def _watch(registry: kopf.OperatorRegistry, kind: Kind, feed: Feed) -> None:
    @kopf.on.event(names.GROUP, names.VERSION, kind.plural, registry=registry, id=f"watch-{kind.plural}")
    async def watch(event: Any, **_: Any) -> None:
        feed(kind, event["type"], dict(event["object"]))


def build_settings(namespaced: bool) -> kopf.OperatorSettings:
    """Kopf's settings, each for a reason given in docs/design/0001."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = namespaced
    # kopf takes its own finalizer off every object that none of its handlers needs to hold: never ours
    settings.persistence.finalizer = f"{names.GROUP}/kopf"
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.queueing.error_delays = [1, 2, 5, 10, 30, 60]
    return settings
