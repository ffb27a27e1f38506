"""Peers through the API server's pod proxy: right paths, both credentials, and its own refusals in words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from qdrant_operator.adapters.kubernetes.credentials import current_namespace, load_api_server, open_session
from qdrant_operator.adapters.qdrant.json import peer_view
from qdrant_operator.adapters.qdrant.proxy import ProxiedPeers
from qdrant_operator.domain.common.errors import Refused, Unreachable
from qdrant_operator.domain.common.kinds import Endpoint

RECORDING = Path(__file__).parents[2] / "contract" / "data" / "qdrant-1.19.0.jsonl"
ENDPOINT = Endpoint("http://10.0.0.7:6333", "uid-7", "the peers' key")
PROXY = "/api/v1/namespaces/shop/pods/vectors-7:6333/proxy"
FORBIDDEN = {
    "kind": "Status",
    "message": 'pods "vectors-7" is forbidden: User "me" cannot get resource "pods/proxy"',
    "code": 403,
}


def _recorded(path: str) -> Any:
    """A recorded answer of a real peer."""
    lines = map(json.loads, RECORDING.read_text().splitlines())
    return next(one["answer"] for one in lines if one.get("path") == path and one["status"] == 200)


class Server:
    """An API server that has one pod behind it."""

    def __init__(self) -> None:
        """Nobody called yet."""
        self.called: list[tuple[str, str, str, str]] = []
        self.refusal: tuple[int, Any] | None = None
        self.cluster = _recorded("/cluster")
        self.telemetry = _recorded("/telemetry?details_level=3")

    async def answer(self, request: web.Request) -> web.Response:
        """The pod's answer, if the path leads to it."""
        key, token = request.headers.get("api-key", ""), request.headers.get("Authorization", "")
        self.called.append((request.method, request.path_qs, key, token))
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        answers = {"/cluster": self.cluster, "/telemetry": self.telemetry, "/readyz": {}}
        return web.json_response(answers[request.path.removeprefix(PROXY)])


@pytest.fixture
def server() -> Server:
    """The server's side."""
    return Server()


@pytest.fixture
async def peers(server: Server, tmp_path: Path) -> AsyncIterator[ProxiedPeers]:
    """The adapter, with the credentials of a kubeconfig."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application) as running:
        url = str(running.make_url("")).rstrip("/")
        api = await load_api_server(str(_kubeconfig(tmp_path, url)))
        async with open_session(api) as session:
            yield ProxiedPeers(
                session, api.url, {"uid-7": ("shop", "vectors-7")}.__getitem__, lambda *_: None
            )


def _kubeconfig(folder: Path, url: str, namespace: str | None = "shop") -> Path:
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [
            {"name": "here", "context": context},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
        "users": [{"name": "u", "user": {"token": "mine"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(body))
    return path


async def test_a_look_goes_through_the_proxy(peers: ProxiedPeers, server: Server) -> None:
    """The view is the peer's; every call is a GET below the pod's proxy, with the user's token and the peers' key."""
    view = await peers.observe(ENDPOINT)
    assert view == peer_view(server.cluster["result"], server.telemetry["result"], ready=True)
    paths = {path for _, path, *_ in server.called}
    assert paths == {f"{PROXY}/cluster", f"{PROXY}/telemetry?details_level=3", f"{PROXY}/readyz"}
    assert {(m, key, token) for m, _, key, token in server.called} == {
        ("GET", "the peers' key", "Bearer mine")
    }


async def test_a_missing_right_is_told_in_the_servers_words(peers: ProxiedPeers, server: Server) -> None:
    """Who may not use the proxy reads which right is missing, not JSON."""
    server.refusal = 403, FORBIDDEN
    with pytest.raises(Refused) as refused:
        await peers.observe(ENDPOINT)
    assert refused.value.message == f"the API server's pod proxy says: {FORBIDDEN['message']}"


async def test_a_pod_that_the_server_cannot_reach_is_unreachable(peers: ProxiedPeers, server: Server) -> None:
    """A 503 of the proxy says nothing about the peer's shards."""
    server.refusal = 503, {"kind": "Status", "message": "error trying to reach service: connection refused"}
    with pytest.raises(Unreachable, match="proxy says: error trying to reach service"):
        await peers.observe(ENDPOINT)


async def test_the_peers_own_refusal_keeps_its_words(peers: ProxiedPeers, server: Server) -> None:
    """A wrong key is Qdrant's answer, not the API server's."""
    server.refusal = 401, {"status": {"error": "Must provide an API key"}}
    with pytest.raises(Refused, match=r"^Must provide an API key$"):
        await peers.observe(ENDPOINT)


@pytest.mark.parametrize(("context", "found"), [(None, "shop"), ("bare", "default")])
def test_the_namespace_is_the_contexts(tmp_path: Path, context: str | None, found: str) -> None:
    """As kubectl: the context's namespace, and `default` where it names none."""
    assert current_namespace(str(_kubeconfig(tmp_path, "http://127.0.0.1:1")), context) == found


def test_an_unknown_context_is_said(tmp_path: Path) -> None:
    """The file and the context are in the sentence."""
    path = _kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(Refused, match="kubeconfig has no context 'there'"):
        current_namespace(str(path), "there")
