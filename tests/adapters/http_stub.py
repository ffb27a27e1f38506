"""A small HTTP server whose answers a test chooses: for what a healthy API server never says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from qdrant_operator.adapters.kubernetes.transport import Transport

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, *, timeout: float = 5.0) -> AsyncIterator[Transport]:
    """A transport to a server that lets `answer` answer every request."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        yield Transport(session, str(server.make_url("")).rstrip("/"), timeout=timeout)


def saying(code: int, **body: object) -> Answer:
    """An answer that is always the same; header values come as `retry_after`."""
    headers = {"Retry-After": str(body.pop("retry_after"))} if "retry_after" in body else {}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=code, headers=headers)

    return answer


async def silence(_request: web.Request) -> web.StreamResponse:
    """Never answer; ends when the client goes away."""
    await asyncio.Event().wait()
    raise AssertionError
