"""kopf's watches of our kinds. Event handlers only: they fill the caches and write nothing on users' objects."""

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
    """Handlers for our kinds, and a login with our credentials for the API server."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        # Each watch holds a connection permanently, so the connections of this session are not limited.
        return kopf.AiohttpSession(server=server.url, aiohttp_session=open_session(server, limit=0))

    for kind in OWN_KINDS:
        _watch(registry, kind, feed)
    return registry


def _watch(registry: kopf.OperatorRegistry, kind: Kind, feed: Feed) -> None:
    @kopf.on.event(names.GROUP, names.VERSION, kind.plural, registry=registry, id=f"watch-{kind.plural}")
    async def watch(event: Any, **_: Any) -> None:
        feed(kind, event["type"], dict(event["object"]))


def build_settings(namespaced: bool) -> kopf.OperatorSettings:
    """Settings of kopf; docs/design/0001 has the reasons."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = namespaced
    # kopf removes its finalizer from every object that no handler needs it on: it must not be ours.
    settings.persistence.finalizer = f"{names.GROUP}/kopf"
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.queueing.error_delays = [1, 2, 5, 10, 30, 60]
    return settings
