"""One operator's view of a `FakeApiServer`: the Kubernetes Protocol, with a watch cache and faults on demand.

Cached reads come from the operator's real `Store`, fed by the server's events and by own writes, so that a
simulation meets the same cache that production has. `lag()` holds events back, `catch_up()` lets them through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from qdrant_operator.adapters.kubernetes.store import OURS, OWNED, Listener, Store, has_labels, is_watched
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.apiserver import FakeApiServer, epoch, key_of

_Event = tuple[Kind, str, Manifest]
_Events = list[_Event]
GONE: Manifest = {}
"""Answer of a delete that left nothing."""


class Crash(BaseException):
    """The operator process dies here; nothing that handles errors may catch it."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write that reached the server."""

    operation: str
    kind: Kind
    namespace: str
    name: str
    uid: str = ""
    """Of a deletion: the object that is meant."""
    version: str = ""
    """Of a deletion that names one: the object's resourceVersion."""

    def meets(self, found: Manifest | None) -> bool:
        """Whether a deletion's preconditions hold for the object that is there."""
        if found is None or found["metadata"]["uid"] != self.uid:
            return False
        return self.version in ("", found["metadata"]["resourceVersion"])


@dataclass(slots=True)
class _Fault:
    error: BaseException
    operation: str | None
    kind: Kind | None
    after: bool
    times: int

    def hits(self, operation: str, kind: Kind, after: bool) -> bool:
        right = self.operation in (None, operation) and self.kind in (None, kind) and self.after is after
        if right:
            self.times -= 1
        return right


class FakeKubernetes:
    """Implements `reconcile.ports.Kubernetes` on a `FakeApiServer` (its own unless one is shared)."""

    def __init__(self, server: FakeApiServer | None = None, *, now: Callable[[], datetime] = epoch) -> None:
        """Watch `server`; several views of one server are several operators, or one before and after a crash."""
        self.server = server or FakeApiServer(now)
        self.writes: list[Write] = []
        """Every write of this view that reached the server, no-ops included."""
        self.on_write: Callable[[Write, bool], None] | None = None
        """Called before (False) and after (True) every write; may raise, for example `Crash`."""
        self._faults: list[_Fault] = []
        self._store = Store()
        self._held: _Events | None = None
        self._queue: _Events = []
        self._writing = False
        for kind in (*OWNED, *OURS):
            self._store.replace(kind, "", [m for m in self.server.all(kind) if is_watched(kind, m)], 0)
        self.server.watchers.append(self._on_event)

    def listen(self, callback: Listener) -> None:
        """Call back for every change of the cache, own writes included, as the operator's store does."""
        self._store.listen(callback)

    def fail_next(
        self,
        error: BaseException,
        *,
        operation: str | None = None,
        kind: Kind | None = None,
        after: bool = False,
        times: int = 1,
    ) -> None:
        """Raise `error` at the next matching call, before it has any effect or `after` it (the answer is lost)."""
        self._faults.append(_Fault(error, operation, kind, after, times))

    def lag(self) -> None:
        """Hold watch events back from now on: caches grow stale, but for own writes."""
        self._held = self._held or []

    def catch_up(self) -> None:
        """Deliver every event that was held back."""
        held, self._held = self._held or [], None
        self._deliver(held)

    def forget(self, kind: Kind, namespace: str, name: str) -> None:
        """The cache does not know an object yet, as when a process has just started."""
        found = self._store.one(kind, namespace, name)
        if found is not None:
            self._store.drop(kind, found)

    def disconnect(self) -> None:
        """End this view's watches: the process behind it is dead."""
        self.server.watchers.remove(self._on_event)

    def cached(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects from the cache."""
        return self._store.all(kind, namespace, labels)

    def cached_one(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object from the cache."""
        return self._store.one(kind, namespace, name)

    async def read(self, kind: Kind, namespace: str, name: str, *, fresh: bool = False) -> Manifest | None:
        """One object, live; a Secret is always fresh here."""
        del fresh
        await asyncio.sleep(0)
        self._maybe_fail("read", kind, after=False)
        if kind is Kind.NAMESPACE:
            return self.server.namespace(name)
        found = self.server.get(kind, namespace, name)
        if found is None:
            return None
        self._store.put(kind, found)
        return self.server.managed(found)

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> tuple[Manifest, ...]:
        """Objects with all labels, live."""
        await asyncio.sleep(0)
        self._maybe_fail("list", kind, after=False)
        found = [m for m in self.server.all(kind, namespace) if has_labels(m, labels)]
        return tuple(sorted(found, key=lambda m: (m["metadata"]["name"], m["metadata"]["namespace"])))

    async def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """Events about the object with this uid, live."""
        await asyncio.sleep(0)
        self._maybe_fail("events", Kind.EVENT, after=False)
        found = self.server.all(Kind.EVENT, namespace)
        return tuple(event for event in found if (event.get("regarding") or {}).get("uid") == uid)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with the operator's field manager."""
        write = Write("apply", *key_of(manifest))
        return await self._write(write, lambda: self.server.apply(manifest, names.FIELD_MANAGER))

    async def create(self, manifest: Manifest) -> Manifest:
        """Create; `Refused("AlreadyExists")` when it exists."""
        write = Write("create", *key_of(manifest))
        return await self._write(write, lambda: self.server.create(manifest, f"{names.FIELD_MANAGER}/update"))

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Merge patch, conditional where the body names a resourceVersion."""
        write = Write("patch", kind, namespace, name)
        return await self._write(
            write, lambda: self.server.patch(kind, namespace, name, body, names.FIELD_MANAGER)
        )

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, *, resource_version: str, status: Manifest
    ) -> Manifest:
        """Replace status on exactly this version; else `Conflict`."""
        write = Write("patch_status", kind, namespace, name)
        return await self._write(
            write, lambda: self.server.put_status(kind, namespace, name, status, resource_version)
        )

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
        """Delete exactly the object with this uid, if a version is named exactly that one; gone already is success."""
        write = Write("delete", kind, namespace, name, uid, resource_version)

        def act() -> Manifest:
            current = self.server.get(kind, namespace, name)
            if current is None or current["metadata"]["uid"] != uid:
                return GONE
            if not write.meets(current):
                raise Conflict(
                    f"{kind.kind} {namespace}/{name} changed while it was being deleted", after=0.5
                )
            return self.server.delete(kind, namespace, name, foreground=foreground) or GONE

        answer = await self._write(write, act)
        if answer is GONE:
            self._store.gone(kind, namespace, name, uid)

    async def _write(self, write: Write, act: Callable[[], Manifest]) -> Manifest:
        await asyncio.sleep(0)  # other tasks run while a request is under way
        self._hooks(write, after=False)
        self._writing = True
        try:
            answer = act()
            self.writes.append(write)
        finally:
            self._writing = False
        try:
            self._hooks(write, after=True)
            if answer is not GONE:
                self._store.put(write.kind, answer)
        finally:
            # The answer overtakes the watch, as it does over a network.
            queue, self._queue = self._queue, []
            self._deliver(queue)
        await asyncio.sleep(0)
        return answer

    def _hooks(self, write: Write, *, after: bool) -> None:
        self._maybe_fail(write.operation, write.kind, after=after)
        if self.on_write is not None:
            self.on_write(write, after)

    def _maybe_fail(self, operation: str, kind: Kind, *, after: bool) -> None:
        for fault in self._faults:
            if fault.times > 0 and fault.hits(operation, kind, after):
                raise fault.error

    def _on_event(self, kind: Kind, event: str, manifest: Manifest) -> None:
        if self._writing:
            self._queue.append((kind, event, manifest))
        else:
            self._deliver([(kind, event, manifest)])

    def _deliver(self, events: _Events) -> None:
        if self._held is not None:
            self._held += events
            return
        for kind, event, manifest in events:
            # An object that loses the label of a watch is DELETED to it.
            gone = event == "DELETED" or not is_watched(kind, manifest)
            _ = self._store.drop(kind, manifest) if gone else self._store.put(kind, manifest)
