"""Watches survive what servers and networks do to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from qdrant_operator.adapters.kubernetes import informer
from qdrant_operator.adapters.kubernetes.informer import Informers, lines, pause
from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.adapters.http_stub import Answer, serving

PATIENCE = 10.0


def _pod(name: str, version: int, uid: str | None = None) -> Manifest:
    meta = {
        "name": name,
        "namespace": "here",
        "uid": uid or name,
        "resourceVersion": str(version),
        "labels": dict(names.MANAGED),
    }
    return {"metadata": meta}


class _Server:
    """Lists and watches by script: each watch takes the next script, the last one stays open in silence."""

    def __init__(self, lists: list[tuple[int, list[Manifest]]], watches: list[list[object]]) -> None:
        self.lists = lists
        self.watches = watches
        self.queries: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if "watch" not in request.query:
            version, items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})
        return await self._watch(request)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        script = self.watches.pop(0) if self.watches else ["silence"]
        if script and isinstance(script[0], int):
            return web.json_response({"message": "too old", "code": script[0]}, status=script[0])
        response = web.StreamResponse()
        await response.prepare(request)
        for event in script:
            if event == "silence":
                await asyncio.Event().wait()
            await response.write(json.dumps(event).encode() + b"\n")
        return response


def _event(kind: str, manifest: Manifest) -> dict[str, object]:
    return {"type": kind, "object": manifest}


async def _run(server: Answer, done: Callable[[Store, Informers], bool], silent: float = 30.0) -> Store:
    store = Store()
    changed = asyncio.Event()
    store.listen(lambda *_: changed.set())
    async with serving(server) as transport:
        informers = Informers(transport, store, kinds=(Kind.POD,), silent_seconds=silent)
        task = asyncio.create_task(informers.run())
        try:
            async with asyncio.timeout(PATIENCE):
                await informers.synced.wait()
                while not done(store, informers):
                    changed.clear()
                    await changed.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return store


def _names(store: Store) -> list[str]:
    return [pod["metadata"]["name"] for pod in store.all(Kind.POD, "here", {})]


async def test_list_then_watch_fill_the_store() -> None:
    """Adds, changes and deletions arrive; the server selects by our label and sends bookmarks."""
    server = _Server(
        [(10, [_pod("a", 5), _pod("b", 6)])],
        [[_event("ADDED", _pod("c", 11)), _event("DELETED", _pod("a", 12)), "silence"]],
    )
    store = await _run(server, lambda store, _: _names(store) == ["b", "c"])

    assert _names(store) == ["b", "c"]
    watch = server.queries[1]
    assert watch["labelSelector"] == f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"
    assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("10", "true")
    assert 260 <= int(watch["timeoutSeconds"]) <= 320


async def test_a_watch_goes_on_where_the_last_one_ended() -> None:
    """After a clean end the next watch begins at the latest bookmark, without a new list."""
    server = _Server(
        [(10, [])],
        [
            [_event("BOOKMARK", {"metadata": {"resourceVersion": "55"}})],
            [_event("ADDED", _pod("late", 60)), "silence"],
        ],
    )
    await _run(server, lambda store, _: _names(store) == ["late"])

    assert [query.get("resourceVersion") for query in server.queries] == [None, "10", "55"]


@pytest.mark.parametrize(
    "too_old",
    [[410], [{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}]],
    ids=["answer", "event"],
)
async def test_after_410_deletions_that_nobody_told_are_noticed(too_old: list[object]) -> None:
    """A gap ends with a new list; what it lacks is gone, and listeners hear of it."""
    server = _Server(
        [(10, [_pod("a", 5), _pod("b", 6)]), (90, [_pod("b", 6), _pod("c", 80)])], [too_old, ["silence"]]
    )
    store = await _run(server, lambda store, _: _names(store) == ["b", "c"])

    assert _names(store) == ["b", "c"]


async def test_what_grew_old_in_an_outage_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures make the pauses longer; 410 after them adds none, but a fresh list that is called old does."""
    pauses: list[int] = []

    def note(failures: int) -> float:
        pauses.append(failures)
        return 0.0

    monkeypatch.setattr(informer, "pause", note)
    server = _Server([(10, []), (20, []), (30, [_pod("a", 25)])], [[500], [500], [410], [410]])
    store = await _run(server, lambda store, _: bool(_names(store)))
    assert _names(store) == ["a"]
    assert pauses == [1, 2, 4]


_AHEAD = {"message": "Too large resource version: 5000, current: 3000", "code": 504}


@pytest.mark.parametrize(
    "restored",
    [
        [{"type": "ERROR", "object": {"kind": "Status", **_AHEAD}}],
        [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "3000"}}}],
        [{"type": "MODIFIED", "object": _pod("a", 2900)}],
    ],
    ids=["the server says so", "a bookmark is older", "an event is older"],
)
async def test_after_etcd_was_restored_what_the_server_has_counts(restored: list[object]) -> None:
    """Versions went back: objects of the lost time are gone, older ones are taken over, also what was deleted since."""
    server = _Server(
        [(5000, [_pod("a", 4000), _pod("lost", 4500)]), (3000, [_pod("a", 2000), _pod("back", 1500)])],
        [
            [_event("DELETED", _pod("back", 5001)), *restored],
            [_event("MODIFIED", _pod("a", 3001)), "silence"],
        ],
    )
    store = await _run(server, lambda store, _: _names(store) == ["a", "back"] and _version(store) == 3001)

    assert _version(store) == 3001


def _version(store: Store) -> int:
    found = store.one(Kind.POD, "here", "a")
    return int(found["metadata"]["resourceVersion"]) if found else 0


async def test_users_objects_that_vanish_during_a_gap_are_noticed() -> None:
    """The watches of a process include the kinds that users write: kopf is not told of such deletions."""
    lists = [(10, ["kept", "deleted"]), (90, ["kept"])]
    watched = asyncio.Event()

    async def server(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/qdrantclusters"):
            if "watch" in request.query:
                await asyncio.Event().wait()
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        if "watch" in request.query:
            if watched.is_set():
                await asyncio.Event().wait()
            watched.set()
            return web.json_response({"message": "too old", "code": 410}, status=410)
        version, found = lists.pop(0) if len(lists) > 1 else lists[0]
        items = [_pod(name, 5) for name in found]
        return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": items})

    store, gone = Store(), asyncio.Event()
    store.listen(lambda _kind, _old, new: gone.set() if new is None else None)
    async with serving(server) as transport:
        task = asyncio.create_task(Informers(transport, store).run())
        await asyncio.wait_for(gone.wait(), PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [one["metadata"]["name"] for one in store.all(Kind.CLUSTER, "here", {})] == ["kept"]


async def test_a_silent_watch_is_opened_again() -> None:
    """A connection that died without a word is noticed on this side."""
    server = _Server([(10, [])], [["silence"], [_event("ADDED", _pod("a", 11)), "silence"]])
    store = await _run(server, lambda store, _: _names(store) == ["a"], silent=0.2)

    assert _names(store) == ["a"]


async def test_an_error_of_the_server_is_survived() -> None:
    """A 500 and a 403 cost a pause each, not the watch."""
    server = _Server([(10, [])], [[500], [403], [_event("ADDED", _pod("a", 11)), "silence"]])
    store = await _run(server, lambda store, _: _names(store) == ["a"])

    assert _names(store) == ["a"]


async def test_an_answer_beyond_understanding_is_survived() -> None:
    """An event without an object ends no watch for good: the next list puts things right."""
    server = _Server([(10, []), (20, [_pod("a", 15)])], [[{"type": "ADDED"}], ["silence"]])
    store = await _run(server, lambda store, _: _names(store) == ["a"])

    assert _names(store) == ["a"]


async def test_users_objects_are_watched_without_a_label() -> None:
    """Our own kinds carry no label of ours: all of them are listed."""
    asked: list[dict[str, str]] = []

    async def server(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        if "watch" in request.query:
            await asyncio.Event().wait()
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    async with serving(server) as transport:
        informers = Informers(transport, Store(), kinds=(Kind.CLUSTER,))
        task = asyncio.create_task(informers.run())
        await asyncio.wait_for(informers.synced.wait(), PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert not any("labelSelector" in query for query in asked)


async def test_every_kind_and_namespace_has_its_watch_and_age() -> None:
    """Synced means all of them; until then the missing ones have names."""
    open_gate, watching = asyncio.Event(), asyncio.Semaphore(0)
    seen: set[str] = set()

    async def server(request: web.Request) -> web.StreamResponse:
        seen.add(request.path)
        if "secrets" in request.path:
            await open_gate.wait()
        if "watch" in request.query:
            watching.release()
            await asyncio.Event().wait()
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    async with serving(server) as transport:
        informers = Informers(
            transport, Store(), kinds=(Kind.POD, Kind.SECRET), namespaces=("a", "b"), monotonic=lambda: 7.0
        )
        task = asyncio.create_task(informers.run())
        async with asyncio.timeout(PATIENCE):
            await watching.acquire()
            await watching.acquire()
        assert informers.missing() == ("secrets a", "secrets b")
        assert not informers.synced.is_set()
        open_gate.set()
        await asyncio.wait_for(informers.synced.wait(), PATIENCE)
        assert informers.ages() == {(kind, space): 0.0 for kind in ("Pod", "Secret") for space in ("a", "b")}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert seen == {f"/api/v1/namespaces/{space}/{kind}" for kind in ("pods", "secrets") for space in "ab"}


async def test_lines_of_any_length_come_whole() -> None:
    """An object of a MiB in small chunks is one line; empty lines are none."""

    async def chunks() -> AsyncIterator[bytes]:
        text = b"x" * 1_000_000 + b"\n\nshort\nlast\n"
        for start in range(0, len(text), 4096):
            yield text[start : start + 4096]

    assert [len(line) async for line in lines(chunks())] == [1_000_000, 5, 4]


def test_pauses_grow_and_end_growing() -> None:
    """From half a second to ten seconds, half more or less: the watches do not retry together."""
    assert all(0.25 <= pause(1) <= 0.75 for _ in range(50))
    assert all(5.0 <= pause(failures) <= 15.0 for failures in (7, 20, 1000))
    assert len({pause(5) for _ in range(20)}) > 1
