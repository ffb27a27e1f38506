"""The Kubernetes API for the loop: manifests as dicts, reads from caches, writes with preconditions.

Implements `reconcile.ports.Kubernetes`. Knows nothing of Qdrant and decides nothing.

A 404 on a write means that the object does not exist: `patch` and `patch_status` raise `Conflict` (read again),
`apply` and `create` raise `Retryable` (the namespace or the kind is missing), `delete` succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from qdrant_operator.adapters.kubernetes.store import Store, remains, version
from qdrant_operator.adapters.kubernetes.transport import (
    APPLY_PATCH,
    MERGE_PATCH,
    NotFound,
    Transport,
    path_of,
    selector,
)
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import FIELD_MANAGER
from qdrant_operator.domain.common.timing.expiring import Expiring

PAGE: Final = 500
"""Objects per list request (the chunk size of kubectl)."""
SECRET_SECONDS: Final = 30.0
"""How long the content of a Secret is cached. Users' Secrets are not watched (least privilege, memory), and without
the cache every reconciliation of an idle cluster would read its key."""
EventType = Literal["ADDED", "MODIFIED", "DELETED"] | None
"""Types of watch events; kopf passes None for objects of the initial list."""

_STRICT: Final = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}


class HttpKubernetes:
    """The API server over one session, and the store that watches fill."""

    def __init__(
        self, transport: Transport, store: Store, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Send through `transport`, answer cached reads from `store`."""
        self._transport = transport
        self._store = store
        self._monotonic = monotonic
        self._secrets: Expiring[tuple[str, str], Manifest] = Expiring(SECRET_SECONDS)
        store.listen(self._on_change)

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects of a watched kind in one namespace that carry all `labels`, sorted by name; no request."""
        return self._store.all(kind, namespace, labels)

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object of a watched kind from the cache; no request."""
        return self._store.one(kind, namespace, name)

    def feed(self, kind: Kind, event_type: EventType, body: Mapping[str, Any]) -> None:
        """Put an object of the operator's kinds into the store, as kopf's watch delivers it (`event["object"]`)."""
        manifest = dict(body)
        if event_type == "DELETED":
            self._store.drop(kind, manifest)
        else:
            self._store.put(kind, manifest)

    async def read(self, kind: Kind, namespace: str, name: str, *, fresh: bool = False) -> Manifest | None:
        """One object, live; None when it does not exist. A Secret is up to `SECRET_SECONDS` old unless `fresh`."""
        if (
            kind is Kind.SECRET
            and not fresh
            and (known := self._secrets.get((namespace, name), self._monotonic()))
        ):
            return known
        before = self._store.one(kind, namespace, name)
        try:
            found = await self._transport.get(kind, path_of(kind, namespace, name))
        except NotFound:
            self._secrets.drop((namespace, name))
            self._drop_from_store(kind, before)
            return None
        self._store.put(kind, found)
        if kind is Kind.SECRET:
            self._secrets.put((namespace, name), found, self._monotonic())
        return found

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects with all `labels`, live, sorted by name; an empty namespace means all namespaces."""
        items, _ = await list_all(self._transport, kind, namespace, selector(labels))
        for item in items:
            self._store.put(kind, item)
        return tuple(
            sorted(items, key=lambda item: (item["metadata"]["name"], item["metadata"]["namespace"]))
        )

    async def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """Events about the object with this uid, live, in no order."""
        query = {"fieldSelector": f"regarding.uid={uid}"}
        items, _ = await list_all(self._transport, Kind.EVENT, namespace, query)
        return tuple(items)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with our field manager, forced, strict about unknown fields."""
        kind, namespace, name = address_of(manifest)
        return await self._write(
            "PATCH",
            kind,
            path_of(kind, namespace, name),
            body=manifest,
            params={**_STRICT, "force": "true"},
            content_type=APPLY_PATCH,
        )

    async def create(self, manifest: Manifest) -> Manifest:
        """Create; `Refused("AlreadyExists", …)` when it exists."""
        kind, namespace, _ = address_of(manifest)
        return await self._write("POST", kind, path_of(kind, namespace), body=manifest, params=_STRICT)

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        foreground: bool = False,
    ) -> None:
        """Delete the object with this uid, at this version if one is given; a missing object is success."""
        named = {"uid": uid, "resourceVersion": resource_version}
        body: Manifest = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {key: value for key, value in named.items() if value},
            "propagationPolicy": "Foreground" if foreground else "Background",
        }
        try:
            answer = await self._transport.write("DELETE", kind, path_of(kind, namespace, name), body=body)
        except NotFound:
            answer = {"kind": "Status"}
        except Conflict:
            await self._raise_unless_replaced(kind, namespace, name, uid)
            answer = {"kind": "Status"}
        if remains(answer):
            self._store.put(kind, answer)
        else:
            self._store.gone(kind, namespace, name, uid)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """JSON merge patch of an object; with metadata.resourceVersion in the body it is conditional."""
        return await self._merge(kind, namespace, name, body, "")

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, *, resource_version: str, status: Manifest
    ) -> Manifest:
        """Replace `status` (merge patch, absent fields as null) at exactly this version, or raise `Conflict`."""
        current = self._store.one(kind, namespace, name)
        if current is None or version(current) < int(resource_version):
            current = await self.read(kind, namespace, name)
        if current is None or current["metadata"]["resourceVersion"] != resource_version:
            raise Conflict(
                f"{kind.kind} {namespace}/{name} is no longer at version {resource_version}", after=0.5
            )
        body = {
            "metadata": {"resourceVersion": resource_version},
            "status": replacement(current.get("status") or {}, status),
        }
        return await self._merge(kind, namespace, name, body, "status")

    async def _merge(
        self, kind: Kind, namespace: str, name: str, body: Manifest, subresource: str
    ) -> Manifest:
        before = self._store.one(kind, namespace, name)
        path = path_of(kind, namespace, name, subresource)
        try:
            return await self._write("PATCH", kind, path, body=body, params=_STRICT, content_type=MERGE_PATCH)
        except NotFound as error:
            self._drop_from_store(kind, before)
            raise Conflict(f"{kind.kind} {namespace}/{name} no longer exists", after=0.5) from error

    async def _write(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        body: Manifest,
        params: Mapping[str, str],
        content_type: str = "application/json",
    ) -> Manifest:
        answer = await self._transport.write(
            method, kind, path, body=body, params=params, content_type=content_type
        )
        self._store.put(kind, answer)
        if kind is Kind.SECRET:
            self._secrets.drop((answer["metadata"]["namespace"], answer["metadata"]["name"]))
        return answer

    async def _raise_unless_replaced(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        try:
            current = await self._transport.get(kind, path_of(kind, namespace, name))
        except NotFound:
            return
        if current["metadata"]["uid"] == uid:
            raise Conflict(f"{kind.kind} {namespace}/{name} changed while it was being deleted", after=0.5)

    def _drop_from_store(self, kind: Kind, before: Manifest | None) -> None:
        # Only what was known before the call: another task may have created it again in the meantime.
        if before is not None:
            meta = before["metadata"]
            self._store.gone(kind, meta["namespace"], meta["name"], meta["uid"])

    def _on_change(self, kind: Kind, old: Manifest | None, new: Manifest | None) -> None:
        meta = (new or old or {}).get("metadata")
        if kind is Kind.SECRET and meta:
            self._secrets.drop((meta["namespace"], meta["name"]))


async def list_all(
    transport: Transport, kind: Kind, namespace: str, query: Mapping[str, str], *, page: int = PAGE
) -> tuple[list[Manifest], int]:
    """All pages of a list, and the version of the list; items get the apiVersion and kind that they lack."""
    identity = {"apiVersion": kind.api_version, "kind": kind.kind}
    items: list[Manifest] = []
    params = {**query, "limit": str(page)}
    while True:
        answer = await transport.get(kind, path_of(kind, namespace), params)
        items += [{**identity, **item} for item in answer.get("items") or ()]
        token = answer["metadata"].get("continue")
        if not token:
            return items, version(answer)
        params["continue"] = token


def address_of(manifest: Manifest) -> tuple[Kind, str, str]:
    """Kind, namespace and name of a manifest of ours.

    Raises:
        LookupError: a kind that the operator does not know, which is a defect.
    """
    wanted = (manifest["apiVersion"], manifest["kind"])
    for kind in Kind:
        if (kind.api_version, kind.kind) == wanted:
            return kind, manifest["metadata"]["namespace"], manifest["metadata"].get("name", "")
    raise LookupError(f"{wanted[1]} of {wanted[0]} is not a kind that this operator writes")


def replacement(previous: Manifest, wanted: Manifest) -> Manifest:
    """Merge patch that turns `previous` into exactly `wanted`: what is absent from it becomes null."""
    removed: Manifest = {key: None for key in previous if key not in wanted}
    return {**removed, **{key: _replaced(previous.get(key), value) for key, value in wanted.items()}}


def _replaced(previous: Any, wanted: Any) -> Any:
    both = isinstance(previous, dict) and isinstance(wanted, dict)
    return replacement(previous, wanted) if both else wanted
