"""Events: what happened, in words, where `kubectl describe` shows it.

Writing them never fails the loop and never floods the API server: a sentence that repeats is folded into one
Event's series, and an object gets only so many writes per minute.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from qdrant_operator.adapters.kubernetes.transport import MERGE_PATCH, NotFound, Transport, path_of
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import GROUP

FOLD: Final = timedelta(minutes=10)
"""A sentence told again within this time of its last telling belongs to the same series."""
QUIET: Final = timedelta(seconds=30)
"""Shortest time between two writes that only raise a series' count."""
PATIENCE_SECONDS: Final = 5.0
"""Longest time that telling may hold up what is told of."""
PER_MINUTE: Final = 10
"""Most writes about one object in a minute; what comes on top is dropped."""
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
    count: int
    told: datetime
    written: datetime


@dataclass(slots=True)
class _Subject:
    """What was told about one object lately."""

    series: dict[tuple[str, str], _Series] = field(default_factory=dict)
    writes: deque[datetime] = field(default_factory=deque)


class Events:
    """Writes events.k8s.io/v1 Events; keeps what it told for `FOLD`."""

    def __init__(self, transport: Transport, clock: Now, instance: str) -> None:
        """Write through `transport` in the name of `instance` (the operator's pod)."""
        self._transport = transport
        self._clock = clock
        self._instance = instance[:128]
        self._subjects: dict[str, _Subject] = {}

    async def emit(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """Tell `message` about an object (`kind` Normal or Warning); never raises but for cancellation."""
        now = self._clock.now()
        subject = self._subject(about["metadata"]["uid"], now)
        note = _shortened(message)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._tell(subject, about, kind, reason, note, now)
        except (Retryable, Refused, TimeoutError) as error:
            name = about["metadata"]["name"]
            _log.warning("event %s about %s was not written: %s", reason, name, error or "no answer in time")

    async def _tell(
        self, subject: _Subject, about: Manifest, kind: str, reason: str, note: str, now: datetime
    ) -> None:
        known = subject.series.get((reason, note))
        if known is not None and await self._fold(subject, about["metadata"]["namespace"], known, now):
            return
        if not _may_write(subject, now):
            return
        event = self._event(about, kind, reason, note, now)
        path = path_of(Kind.EVENT, event["metadata"]["namespace"])
        await self._transport.write("POST", Kind.EVENT, path, body=event)
        subject.series[reason, note] = _Series(event["metadata"]["name"], 1, now, now)

    async def _fold(self, subject: _Subject, namespace: str, known: _Series, now: datetime) -> bool:
        """Count one more telling; False when the Event is not there any more."""
        known.count += 1
        known.told = now
        if (known.count > 2 and now - known.written < QUIET) or not _may_write(subject, now):
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

    def _subject(self, uid: str, now: datetime) -> _Subject:
        for other, subject in list(self._subjects.items()):
            subject.series = {key: s for key, s in subject.series.items() if now - s.told < FOLD}
            if not subject.series and not _recent(subject, now):
                del self._subjects[other]
        return self._subjects.setdefault(uid, _Subject())


def _recent(subject: _Subject, now: datetime) -> int:
    while subject.writes and now - subject.writes[0] >= timedelta(minutes=1):
        subject.writes.popleft()
    return len(subject.writes)


def _may_write(subject: _Subject, now: datetime) -> bool:
    if _recent(subject, now) >= PER_MINUTE:
        return False
    subject.writes.append(now)
    return True


def _shortened(message: str) -> str:
    encoded = message.encode()
    return (
        message if len(encoded) <= _NOTE_BYTES else encoded[: _NOTE_BYTES - 3].decode(errors="ignore") + "…"
    )


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
