"""Informers: list and watch our objects, so that the store answers reads without a request.

kopf filters by label after the download. These watches filter in the server, so that other pods of the Kubernetes
cluster cost nothing. Volume claims are the exception: they belong to a cluster by name, so all are listed, and the
store keeps those with a name of ours. A watch without messages is opened again. A watch that is too old (410) lists
again, and the store drops objects that were deleted in the meantime.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import aiohttp

from qdrant_operator.adapters.kubernetes.client import list_all
from qdrant_operator.adapters.kubernetes.store import OURS, OWNED, Store, version, watch_labels
from qdrant_operator.adapters.kubernetes.transport import Transport, fail, path_of, selector
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.timing.backoff import Backoff

SERVER_SECONDS: Final = 290
"""Requested length of one watch; the default of the server is a random time from 30 to 60 minutes."""
SILENT_SECONDS: Final = 150.0
"""A watch without a message for this time is broken: the server sends a bookmark about every minute."""
_CONNECT_SECONDS: Final = 10.0
BACKOFF: Final = Backoff(first=0.5, longest=10.0)
"""Pauses after failures, with 50 % of jitter so that the watches do not retry together. While a kind is not watched,
the cache shows old objects: after an outage of the API server it is behind by the longest pause at most."""
_EXPIRED: Final = 410
_AHEAD: Final = "Too large resource version"
"""The message of the server (apimachinery, `NewTooLargeResourceVersionError`) when its versions went back."""

_log = logging.getLogger(__name__)


class Watched(NamedTuple):
    """One watch: a kind in one namespace (empty: in all)."""

    kind: Kind
    namespace: str


class TooOld(Exception):  # noqa: N818 (a state, not a defect)
    """The server does not have the version that we have seen last, any more or yet: list again."""


class Informers:
    """Keeps a `Store` up to date for the kinds that we create, and for those that users write.

    kopf watches the latter too, but its lists do not report objects that were deleted between two watches.
    """

    def __init__(
        self,
        transport: Transport,
        store: Store,
        *,
        namespaces: Sequence[str] = (),
        kinds: Sequence[Kind] = (*OWNED, *OURS),
        silent_seconds: float = SILENT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch `kinds` in these namespaces (none: cluster-wide), selected by `watch_labels`.

        Each watch holds a connection permanently: the session of the transport needs `limit=0`.
        """
        self._transport = transport
        self._store = store
        self._silent_seconds = silent_seconds
        self._monotonic = monotonic
        self._watched = [Watched(kind, space) for kind in kinds for space in namespaces or ("",)]
        self._last_message: dict[Watched, float] = {}
        self._listed: dict[Watched, int] = {}
        """The highest version of each, in its list or its watch."""
        self.synced = asyncio.Event()
        """Set when every kind has been listed once."""

    async def run(self) -> None:
        """Watch until cancelled; failures are logged and retried."""
        async with asyncio.TaskGroup() as group:
            for watched in self._watched:
                group.create_task(
                    self._keep(watched), name=f"watch {watched.kind.plural} {watched.namespace}"
                )

    def ages(self) -> Mapping[tuple[str, str], float]:
        """Seconds since the last message of each watch (bookmarks included), by kind and namespace."""
        now = self._monotonic()
        moments = self._last_message.items()
        return {(watched.kind.kind, watched.namespace): now - moment for watched, moment in moments}

    def missing(self) -> tuple[str, ...]:
        """Kinds that have not been listed yet, for /readyz."""
        missing = [watched for watched in self._watched if watched not in self._listed]
        return tuple(f"{watched.kind.plural} {watched.namespace}".strip() for watched in missing)

    async def _keep(self, watched: Watched) -> None:
        seen: str | None = None
        failures = 0
        while True:
            # A watch that ends without a message counts as a failure: with a proxy that closes all watches, or a
            # server that calls a new list too old, this loop must not spin.
            failures += 1
            fresh = seen is None
            try:
                if seen is None:
                    seen = await self._list(watched)
                async for latest in self._watch(watched, seen):
                    seen, failures = latest, 0
            except TooOld:
                seen = None
                if not fresh:
                    continue  # the pauses of the outage are over
            except (Retryable, Refused) as error:
                _log.warning(
                    "Watch of %s failed: %s", watched.kind.plural, error, extra={"failures": failures}
                )
            except Exception:
                # Whatever the server answers: if this task ended, the cache of its kind would stay as it is.
                _log.exception("Watch of %s failed, listing again", watched.kind.plural)
                seen = None
            if failures:
                await asyncio.sleep(pause(failures))

    async def _list(self, watched: Watched) -> str:
        query = selector(watch_labels(watched.kind))
        items, taken_at = await list_all(self._transport, watched.kind, watched.namespace, query)
        rewound = taken_at < self._listed.get(watched, 0)
        if rewound:
            _log.warning("Versions of %s went back: etcd was restored", watched.kind.plural)
        self._store.replace(watched.kind, watched.namespace, items, taken_at, rewound=rewound)
        self._last_message[watched] = self._monotonic()
        self._listed[watched] = taken_at
        if len(self._listed) == len(self._watched):
            self.synced.set()
        return str(taken_at)

    async def _watch(self, watched: Watched, since: str) -> AsyncIterator[str]:
        """Put events after `since` into the store; yields the last version after each."""
        async for event in self._events(watched, since):
            self._last_message[watched] = self._monotonic()
            manifest = event["object"]
            if event["type"] == "ERROR":
                raise _watch_error(watched, manifest)
            seen = version(manifest)
            self._listed[watched] = max(seen, self._listed[watched])
            if seen < int(since):
                raise TooOld  # the server's versions went back
            if event["type"] == "DELETED":
                self._store.drop(watched.kind, manifest)
            elif event["type"] != "BOOKMARK":
                self._store.put(watched.kind, manifest)
            yield manifest["metadata"]["resourceVersion"]

    async def _events(self, watched: Watched, since: str) -> AsyncIterator[Manifest]:
        path = path_of(watched.kind, watched.namespace)
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=self._silent_seconds)
        url = self._transport.url + path
        try:
            async with self._transport.session.get(
                url, params=_query(watched.kind, since), timeout=timeout
            ) as response:
                if response.status == _EXPIRED:
                    raise TooOld
                if response.status >= 400:
                    answer = await response.json(content_type=None)
                    if _AHEAD in str((answer or {}).get("message")):
                        raise TooOld
                    fail("GET", watched.kind, path, response.status, answer or {}, 5.0)
                async for line in lines(response.content.iter_any()):
                    yield json.loads(line)
        except TimeoutError as error:
            raise Unreachable(f"no message for {self._silent_seconds:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Unreachable(str(error)) from error


def pause(failures: int) -> float:
    """Seconds to wait after this many failures of one watch in a row."""
    return BACKOFF.pause(failures, jitter=random.uniform(0.5, 1.5))  # noqa: S311 (no secret)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a stream at newlines; a line may be longer than any buffer (a Secret may hold a MiB)."""
    rest: list[bytes] = []
    async for chunk in chunks:
        *complete, last = chunk.split(b"\n")
        for part in complete:
            line = b"".join((*rest, part))
            rest.clear()
            if line:
                yield line
        rest.append(last)


def _query(kind: Kind, since: str) -> dict[str, str]:
    length = SERVER_SECONDS + random.randint(-20, 20)  # noqa: S311 (spreads the reconnects)
    return {
        **selector(watch_labels(kind)),
        "watch": "1",
        "resourceVersion": since,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(length),
    }


def _watch_error(watched: Watched, status: Mapping[str, Any]) -> Exception:
    if status.get("code") == _EXPIRED or _AHEAD in str(status.get("message")):
        return TooOld()
    return Retryable(f"watch of {watched.kind.plural}: {status.get('message')}")
