"""Read-only ports: reads of an observation are passed on and recorded, all other calls are refused.

Both commands use these two ports only, so nothing that they call can write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol, cast

from qdrant_operator.commands.what_if import WhatIf
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint, Json, Kind, Manifest
from qdrant_operator.domain.qdrant.views import PeerView, View
from qdrant_operator.reconcile.access import silent
from qdrant_operator.reconcile.ports import Kubernetes, Qdrant

Key = tuple[Kind, str, str]


class ReadsObjects(Protocol):
    """The part of `reconcile.ports.Kubernetes` that reads."""

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]: ...

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...

    async def read(self, kind: Kind, namespace: str, name: str) -> Manifest | None: ...

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]: ...


class ReadsPeers(Protocol):
    """The part of `reconcile.ports.Qdrant` that an observation of a cluster needs."""

    async def observe(self, endpoint: Endpoint) -> PeerView: ...

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json: ...


class ReadOnlyKubernetes:
    """Passes reads on, records each object, and returns it with the changes of --what-if."""

    def __init__(self, inner: ReadsObjects, what_if: WhatIf) -> None:
        """Read from `inner`."""
        self._inner, self._what_if = inner, what_if
        self.seen: dict[Key, Manifest] = {}

    def port(self) -> Kubernetes:
        """This object as the port of the loop; `__getattr__` refuses what it does not have."""
        return cast("Kubernetes", self)

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """As the port."""
        return self._shown(kind, self._inner.cached(kind, namespace, labels))

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """As the port."""
        return self._one(kind, self._inner.cached_one(kind, namespace, name))

    async def read(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """As the port."""
        return self._one(kind, await self._inner.read(kind, namespace, name))

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """As the port."""
        return self._shown(kind, await self._inner.list(kind, namespace, labels))

    def __getattr__(self, name: str) -> NoReturn:
        raise _refused(f"Kubernetes: {name}")

    def _one(self, kind: Kind, found: Manifest | None) -> Manifest | None:
        return self._shown(kind, [found])[0] if found else None

    def _shown(self, kind: Kind, found: Iterable[Manifest]) -> tuple[Manifest, ...]:
        shown = []
        for manifest in found:
            meta = manifest["metadata"]
            self.seen[kind, meta["namespace"], meta["name"]] = manifest
            shown.append(self._what_if.object(kind, manifest))
        return tuple(shown)


class ReadOnlyQdrant:
    """Passes reads on, records the answers by pod, and returns them with the changes of --what-if."""

    def __init__(self, inner: ReadsPeers, what_if: WhatIf) -> None:
        """Read from `inner`."""
        self._inner, self._what_if = inner, what_if
        self.views: dict[str, View] = {}
        """By uid of the pod."""
        self.keys: dict[str, Json] = {}
        """Values of the cluster's consensus metadata."""

    def port(self) -> Qdrant:
        """This object as the port of the loop; `__getattr__` refuses what it does not have."""
        return cast("Qdrant", self)

    async def observe(self, endpoint: Endpoint) -> PeerView:
        """As the port."""
        try:
            view = await self._inner.observe(endpoint)
        except (Retryable, Refused) as error:
            self.views[endpoint.identity] = silent(error)
            raise
        self.views[endpoint.identity] = view
        return self._what_if.view(view)

    async def cluster_key(self, endpoint: Endpoint, key: str) -> Json:
        """As the port."""
        self.keys[key] = value = await self._inner.cluster_key(endpoint, key)
        return value

    def __getattr__(self, name: str) -> NoReturn:
        raise _refused(f"Qdrant: {name}")


def _refused(what: str) -> Refused:
    return Refused("ReadOnly", f"status and plan change nothing, but {what} was called: this is a defect")
