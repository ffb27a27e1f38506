"""What each answer of the API server means to the loop: wait, or tell somebody."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from qdrant_operator.adapters.kubernetes.client import HttpKubernetes, replacement
from qdrant_operator.adapters.kubernetes.store import Store
from qdrant_operator.adapters.kubernetes.transport import NotFound, Transport, path_of, selector
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.errors import Conflict, Refused, Retryable, Unreachable
from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.adapters.http_stub import saying, serving, silence

POD: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "here", "name": "vectors-0"}}


def _kubernetes(transport: Transport) -> HttpKubernetes:
    return HttpKubernetes(transport, Store())


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_retryable(code: int) -> None:
    """Throttling and server errors are tried again, no sooner than the server asks."""
    async with serving(saying(code, message="busy", retry_after=17)) as transport:
        with pytest.raises(Retryable, match="busy") as caught:
            await _kubernetes(transport).apply(POD)

    assert caught.value.after == 17.0


async def test_an_unreadable_retry_after_is_the_usual_pause() -> None:
    """HTTP allows a date there; we wait five seconds then."""
    async with serving(saying(503, retry_after="Sat, 21 Nov 2026 12:00:00 GMT")) as transport:
        with pytest.raises(Retryable) as caught:
            await _kubernetes(transport).read(Kind.POD, "here", "vectors-0")

    assert caught.value.after == 5.0


@pytest.mark.parametrize("code", [400, 415, 422])
async def test_an_invalid_object_is_refused_in_the_servers_words(code: int) -> None:
    """The message names the field, as the server said it, on one line and bounded."""
    said = "spec.replicas: Invalid value: -1:\n must be non-negative " + "x" * 2000
    async with serving(saying(code, message=said)) as transport:
        with pytest.raises(Refused) as caught:
            await _kubernetes(transport).apply(POD)

    assert caught.value.reason == "Invalid"
    assert "spec.replicas: Invalid value: -1: must be non-negative" in caught.value.message
    assert len(caught.value.message) < 750


async def test_an_object_that_was_made_again_is_a_conflict() -> None:
    """An apply that names a uid is meant for one object, not for its successor: look again."""
    said = 'ConfigMap "vectors-config" is invalid: metadata.uid: Invalid value: "1-2": field is immutable'
    async with serving(saying(422, message=said)) as transport:
        with pytest.raises(Conflict):
            await _kubernetes(transport).apply(POD)


@pytest.mark.parametrize(("status", "verb"), [("", "patch pods"), ("status", "patch pods/status")])
async def test_a_missing_permission_names_verb_and_resource(status: str, verb: str) -> None:
    """The reader learns which rule to grant."""
    async with serving(saying(403, message="no", reason="Forbidden")) as transport:
        with pytest.raises(Refused) as caught:
            await transport.write("PATCH", Kind.POD, path_of(Kind.POD, "here", "vectors-0", status), body=POD)

    assert caught.value.reason == "Forbidden"
    assert f"not allowed to {verb}:" in caught.value.message


async def test_a_terminating_namespace_has_its_own_reason() -> None:
    """403 for a namespace that is going away is nobody's missing permission."""
    details = {
        "causes": [{"reason": "NamespaceTerminating", "message": "namespace here is being terminated"}]
    }
    async with serving(saying(403, message="no", reason="Forbidden", details=details)) as transport:
        with pytest.raises(Refused) as caught:
            await _kubernetes(transport).create(POD)

    assert caught.value.reason == "NamespaceTerminating"


async def test_a_missing_namespace_or_kind_is_waited_for() -> None:
    """404 on an apply: not the object is missing but its place."""
    answer = saying(404, message='namespaces "here" not found', reason="NotFound")
    async with serving(answer) as transport:
        with pytest.raises(NotFound, match='namespaces "here" not found'):
            await _kubernetes(transport).apply(POD)


async def test_a_404_that_is_not_about_the_object_does_not_bury_it() -> None:
    """A proxy, or a server that is registering the kind: nothing is known, and the cache keeps what the watch told."""
    known = {
        **POD,
        "metadata": {**POD["metadata"], "uid": "a", "resourceVersion": "5", "labels": names.MANAGED},
    }
    store = Store()
    store.put(Kind.POD, known)
    async with serving(saying(404, message="404 page not found")) as transport:
        with pytest.raises(Retryable, match="page not found"):
            await HttpKubernetes(transport, store).read(Kind.POD, "here", "vectors-0")
    assert store.one(Kind.POD, "here", "vectors-0") == known


async def test_a_secret_that_is_gone_is_not_kept() -> None:
    """Neither after an answer that says so, nor beyond the time for which its content is believed."""
    now, gone = 0.0, False

    async def answer(request: web.Request) -> web.Response:
        if gone:
            return web.json_response({"reason": "NotFound", "message": "gone"}, status=404)
        meta = {
            "namespace": "here",
            "name": request.path.rsplit("/", 1)[-1],
            "uid": "s",
            "resourceVersion": "1",
        }
        return web.json_response({"metadata": meta, "data": {"api-key": "c2VjcmV0"}})

    async with serving(answer) as transport:
        kubernetes = HttpKubernetes(transport, Store(), monotonic=lambda: now)
        await kubernetes.read(Kind.SECRET, "here", "first")
        now = 60.0
        await kubernetes.read(Kind.SECRET, "here", "second")
        assert len(vars(kubernetes)["_secrets"]) == 1
        now, gone = 100.0, True
        assert await kubernetes.read(Kind.SECRET, "here", "second") is None
        assert len(vars(kubernetes)["_secrets"]) == 0


async def test_a_conflict_is_a_conflict() -> None:
    """409 with reason Conflict: read again soon."""
    async with serving(saying(409, message="modified", reason="Conflict")) as transport:
        with pytest.raises(Conflict) as caught:
            await _kubernetes(transport).patch(Kind.POD, "here", "vectors-0", {})

    assert caught.value.after <= 1.0


async def test_no_answer_in_time_leaves_the_outcome_unknown() -> None:
    """A time-out is Unreachable, never done or failed."""
    async with serving(silence, timeout=0.1) as transport:
        with pytest.raises(Unreachable, match=r"no answer in 0\.1 s"):
            await _kubernetes(transport).apply(POD)


async def test_no_connection_is_unreachable() -> None:
    """Nobody listens: look again later."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unreachable):
            await _kubernetes(Transport(session, "http://127.0.0.1:1")).read(Kind.POD, "here", "vectors-0")


async def test_an_answer_in_plain_text_is_understood() -> None:
    """Proxies do not speak JSON; their words reach the message."""

    async def gateway(_request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=502, text="Bad Gateway: upstream is away")

    async with serving(gateway) as transport:
        with pytest.raises(Retryable, match="upstream is away"):
            await _kubernetes(transport).read(Kind.POD, "here", "vectors-0")


async def test_who_does_not_hold_the_lease_writes_nothing() -> None:
    """Every write asks the lease first; reads go on."""
    asked: list[str] = []

    async def answer(request: aiohttp.web.Request) -> aiohttp.web.Response:
        asked.append(request.method)
        return aiohttp.web.json_response(POD)

    async with serving(answer) as transport:
        bound = Transport(transport.session, transport.url, is_holder=lambda: False)
        kubernetes = _kubernetes(bound)
        with pytest.raises(Retryable, match="not the leader"):
            await kubernetes.delete(Kind.POD, "here", "vectors-0", uid="1")
        with pytest.raises(Retryable, match="not the leader"):
            await kubernetes.apply(POD)
        assert await kubernetes.read(Kind.POD, "here", "vectors-0") == POD

    assert asked == ["GET"]


async def test_a_secret_is_asked_for_once_in_thirty_seconds() -> None:
    """Looking every few seconds costs one request per half minute; afterwards the new content is seen."""
    now, asked = 0.0, 0

    async def answer(_request: aiohttp.web.Request) -> aiohttp.web.Response:
        nonlocal asked
        asked += 1
        meta = {"namespace": "here", "name": "key", "uid": "u", "resourceVersion": str(asked)}
        return aiohttp.web.json_response({"apiVersion": "v1", "kind": "Secret", "metadata": meta})

    async with serving(answer) as transport:
        kubernetes = HttpKubernetes(transport, Store(), monotonic=lambda: now)
        versions = []
        for moment in (0.0, 10.0, 29.0, 31.0, 40.0):
            now = moment
            secret = await kubernetes.read(Kind.SECRET, "here", "key")
            assert secret is not None
            versions.append(secret["metadata"]["resourceVersion"])
        now = 41.0
        await kubernetes.patch(Kind.SECRET, "here", "key", {})
        await kubernetes.read(Kind.SECRET, "here", "key")

    assert versions == ["1", "1", "1", "2", "2"]
    assert asked == 4, "a write of ours makes the next read live"


async def test_a_secret_that_is_gone_is_not_remembered_by_who_asks_for_it_fresh() -> None:
    """A fresh read asks the server at once, and what it says counts for everybody after it."""
    there = True

    async def answer(_request: aiohttp.web.Request) -> aiohttp.web.Response:
        meta = {"namespace": "here", "name": "key", "uid": "u", "resourceVersion": "1"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
        return aiohttp.web.json_response(
            body if there else {"reason": "NotFound"}, status=200 if there else 404
        )

    async with serving(answer) as transport:
        kubernetes = HttpKubernetes(transport, Store(), monotonic=lambda: 0.0)
        assert await kubernetes.read(Kind.SECRET, "here", "key") is not None
        there = False
        assert await kubernetes.read(Kind.SECRET, "here", "key") is not None
        assert await kubernetes.read(Kind.SECRET, "here", "key", fresh=True) is None
        assert await kubernetes.read(Kind.SECRET, "here", "key") is None


async def test_a_list_is_read_to_its_last_page() -> None:
    """Continue tokens are followed; items say what they are although the list's items do not."""

    async def answer(request: aiohttp.web.Request) -> aiohttp.web.Response:
        page = int(request.query.get("continue", "0"))
        assert request.query["labelSelector"] == "a=b,c=d"
        token = str(page + 1) if page < 2 else ""
        items = [{"metadata": {"name": f"pod-{2 - page}", "namespace": "here", "uid": str(page)}}]
        return aiohttp.web.json_response(
            {"metadata": {"resourceVersion": "9", "continue": token}, "items": items}
        )

    async with serving(answer) as transport:
        found = await _kubernetes(transport).list(Kind.POD, "here", {"a": "b", "c": "d"})

    assert [pod["metadata"]["name"] for pod in found] == ["pod-0", "pod-1", "pod-2"]
    assert {pod["kind"] for pod in found} == {"Pod"}


def test_paths_follow_group_namespace_and_subresource() -> None:
    """Core kinds live under /api, groups under /apis; an empty namespace means all."""
    assert path_of(Kind.POD, "here", "a") == "/api/v1/namespaces/here/pods/a"
    assert path_of(Kind.STATEFUL_SET, "") == "/apis/apps/v1/statefulsets"
    assert (
        path_of(Kind.CLUSTER, "here", "a", "status")
        == "/apis/qdrantoperator.dev/v1alpha1/namespaces/here/qdrantclusters/a/status"
    )
    assert selector({}) == {}


def test_a_replacement_nulls_what_is_absent_at_every_depth() -> None:
    """The merge patch turns one status into exactly the other."""
    previous = {"a": {"b": 1, "c": {"d": 2}}, "list": [1, 2], "old": True, "word": "x"}
    wanted = {"a": {"c": {"e": 3}}, "list": [3], "word": {"now": "a map"}}

    assert replacement(previous, wanted) == {
        "a": {"b": None, "c": {"d": None, "e": 3}},
        "list": [3],
        "old": None,
        "word": {"now": "a map"},
    }
