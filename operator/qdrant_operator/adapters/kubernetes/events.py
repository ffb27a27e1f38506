"""Kubernetes Events: what happened to an object, as `kubectl describe` shows it.

Writing an Event never fails the loop and never floods the API server: a message that repeats is counted in the series
of one Event, and the writes about one object are limited per minute.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from qdrant_operator.adapters.kubernetes.transport import MERGE_PATCH, NotFound, Transport, path_of
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import GROUP
from qdrant_operator.domain.common.timing.expiring import Expiring

FOLD: Final = timedelta(minutes=10)
"""A message that repeats within this time belongs to the series of the same Event."""
QUIET: Final = timedelta(seconds=30)
"""Shortest time between two writes that only raise a series' count."""
PATIENCE_SECONDS: Final = 5.0
"""Longest time that the loop waits for an Event to be written."""
PER_MINUTE: Final = 10
"""Most writes about one object in a minute; Events beyond it are dropped."""
_MINUTE: Final = timedelta(minutes=1)
_NOTE_BYTES: Final = 1024
_NAME_LENGTH: Final = 236
CONTROLLER: Final = f"{GROUP}/operator"

_log = logging.getLogger(__name__)


class Now(Protocol):
    """The part of the clock that is needed here."""

    def now(self) -> datetime:
        """Current time, UTC."""
        ...


@dataclass(slots=True)
class _Series:
    name: str
    """The Event's."""
    count: int
    written: datetime
    """When the count was last sent."""


_SeriesKey = tuple[str, str, str]
"""Uid of the object, reason and note."""


class Events:
    """Writes events.k8s.io/v1 Events; remembers each series for `FOLD` after its last message."""

    def __init__(self, transport: Transport, clock: Now, instance: str) -> None:
        """Write through `transport` in the name of `instance` (the operator's pod)."""
        self._transport = transport
        self._clock = clock
        self._instance = instance[:128]
        self._series: Expiring[_SeriesKey, _Series] = Expiring(FOLD.total_seconds())
        self._writes: Expiring[str, deque[datetime]] = Expiring(_MINUTE.total_seconds())
        """Moments of the last writes about an object, by its uid."""

    async def emit(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Write `message` about an object (`kind` Normal or Warning). Raises nothing but cancellation."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._write(about, kind, reason, _shortened(message), now)
        except (Retryable, Refused, TimeoutError) as error:
            name = about["metadata"]["name"]
            _log.warning("Event %s about %s was not written: %s", reason, name, error or "no answer in time")

    async def _write(self, about: Manifest, kind: str, reason: str, note: str, now: datetime) -> None:
        key = (about["metadata"]["uid"], reason, note)
        known = self._series.get(key, now.timestamp())
        if known is not None and await self._count(key, about["metadata"]["namespace"], known, now):
            return
        if not self._may_write(about["metadata"]["uid"], now):
            return
        event = self._event(about, kind, reason, note, now)
        path = path_of(Kind.EVENT, event["metadata"]["namespace"])
        await self._transport.write("POST", Kind.EVENT, path, body=event)
        self._series.put(key, _Series(event["metadata"]["name"], 1, now), now.timestamp())

    async def _count(self, key: _SeriesKey, namespace: str, known: _Series, now: datetime) -> bool:
        """Count the message once more; False when the Event no longer exists."""
        known.count += 1
        self._series.put(key, known, now.timestamp())
        if (known.count > 2 and now - known.written < QUIET) or not self._may_write(key[0], now):
            return True
        body = {"series": {"count": known.count, "lastObservedTime": _micro(now)}}
        path = path_of(Kind.EVENT, namespace, known.name)
        try:
            await self._transport.write("PATCH", Kind.EVENT, path, body=body, content_type=MERGE_PATCH)
        except NotFound:
            return False
        known.written = now
        return True

    def _event(self, about: Manifest, kind: str, reason: str, note: str, now: datetime) -> Manifest:
        meta = about["metadata"]
        return {
            "apiVersion": Kind.EVENT.api_version,
            "kind": Kind.EVENT.kind,
            "metadata": {
                "name": f"{meta['name'][:_NAME_LENGTH]}.{secrets.token_hex(8)}",
                "namespace": meta["namespace"],
            },
            "eventTime": _micro(now),
            "type": kind,
            "reason": reason,
            "action": reason,
            "note": note,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
        }

    def _may_write(self, uid: str, now: datetime) -> bool:
        """Whether the object's writes of the last minute leave room for one more, which is counted then."""
        writes = self._writes.get(uid, now.timestamp()) or deque()
        while writes and now - writes[0] >= _MINUTE:
            writes.popleft()
        if len(writes) >= PER_MINUTE:
            return False
        writes.append(now)
        self._writes.put(uid, writes, now.timestamp())
        return True


def _shortened(message: str) -> str:
    encoded = message.encode()
    return (
        message if len(encoded) <= _NOTE_BYTES else encoded[: _NOTE_BYTES - 3].decode(errors="ignore") + "…"
    )


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
