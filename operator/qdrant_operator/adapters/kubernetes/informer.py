"""Informers: list and watch what we own, so that the store tells the world without a request.

kopf filters by label after the download; these watches let the server do it, so that a cluster full of other
people's pods costs nothing here. Volume claims are the exception: they belong to a cluster by name, so all are
listed, and the store keeps those with a name of ours. A watch that falls silent is opened again, one that is too
old (410) lists again and notices what vanished meanwhile.
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
from qdrant_operator.domain.common.backoff import Backoff
from qdrant_operator.domain.common.errors import Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest

SERVER_SECONDS: Final = 290
"""Asked length of one watch; the server's own default is a random time from 30 to 60 minutes."""
SILENT_SECONDS: Final = 150.0
"""A watch that says nothing for so long is dead: the server sends a bookmark every minute or so."""
_CONNECT_SECONDS: Final = 10.0
BACKOFF: Final = Backoff(first=0.5, longest=10.0)
"""Pauses after failures, with 50 % of jitter so that the watches do not retry together. While a kind is not watched,
the cache shows old objects: after an outage of the API server it is behind by the longest pause at most."""
_EXPIRED: Final = 410
_AHEAD: Final = "Too large resource version"
"""The server's words (apimachinery, `NewTooLargeResourceVersionError`) when its versions went back."""

_log = logging.getLogger(__name__)


class Watched(NamedTuple):
    """One watch: a kind in one namespace (empty: in all)."""

    kind: Kind
    namespace: str


class TooOld(Exception):  # noqa: N818 (it is a state, not a defect)
    """The server no longer knows, or does not know yet, the version that we have seen last: list again."""


class Informers:
    """Keeps a `Store` true for every kind that we make, and for those that users write.

    kopf watches the latter too; its lists do not tell what vanished between two watches.
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

        Each watch holds a connection for good: the transport's session needs `limit=0`.
        """
        self._transport = transport
        self._store = store
        self._silent = silent_seconds
        self._monotonic = monotonic
        self._watched = [Watched(kind, space) for kind in kinds for space in namespaces or ("",)]
        self._heard: dict[Watched, float] = {}
        self._listed: dict[Watched, int] = {}
        """The highest version that was seen of each, by its list or its watch."""
        self.synced = asyncio.Event()
        """Set when every kind has been listed once."""

    async def run(self) -> None:
        """Watch until cancelled; failures are logged and tried again."""
        async with asyncio.TaskGroup() as group:
            for watched in self._watched:
                group.create_task(
                    self._keep(watched), name=f"watch {watched.kind.plural} {watched.namespace}"
                )

    def ages(self) -> Mapping[tuple[str, str], float]:
        """Seconds since each watch last said anything (bookmarks count), by kind and namespace."""
        now = self._monotonic()
        return {(w.kind.kind, w.namespace): now - heard for w, heard in self._heard.items()}

    def missing(self) -> tuple[str, ...]:
        """Kinds that have not been listed yet, in words for /readyz."""
        return tuple(f"{w.kind.plural} {w.namespace}".strip() for w in self._watched if w not in self._listed)

    async def _keep(self, watched: Watched) -> None:
        seen: str | None = None
        failures = 0
        while True:
            # A watch that ends without a word counts as a failure: a proxy that closes them all, or a server
            # that calls a fresh list too old, must not make us spin.
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
                    continue  # the pauses of an outage are behind us
            except (Retryable, Refused) as error:
                _log.warning("watch of %s: %s", watched.kind.plural, error, extra={"failures": failures})
            except Exception:
                # Whatever a server may say: a watch that ended for good would leave the loop blind.
                _log.exception("watch of %s failed, listing again", watched.kind.plural)
                seen = None
            if failures:
                await asyncio.sleep(pause(failures))

    async def _list(self, watched: Watched) -> str:
        query = selector(watch_labels(watched.kind))
        items, taken_at = await list_all(self._transport, watched.kind, watched.namespace, query)
        rewound = taken_at < self._listed.get(watched, 0)
        if rewound:
            _log.warning("versions of %s went back: etcd was restored", watched.kind.plural)
        self._store.replace(watched.kind, watched.namespace, items, taken_at, rewound=rewound)
        self._heard[watched] = self._monotonic()
        self._listed[watched] = taken_at
        if len(self._listed) == len(self._watched):
            self.synced.set()
        return str(taken_at)

    async def _watch(self, watched: Watched, since: str) -> AsyncIterator[str]:
        """Take over events after `since`; yields the version seen last, after each."""
        async for event in self._events(watched, since):
            self._heard[watched] = self._monotonic()
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
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=self._silent)
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
            raise Unreachable(f"said nothing for {self._silent:g} s") from error
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
