"""REST over sockets for the simulated peers: a thin skin, the answers come from `core`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from sandbox.qdrant_sim.core.api.answers import Answer, Call

Respond = Callable[[Call], Awaitable[Answer]]
SERVER_KEEP_ALIVE_SECONDS = 5.0
AT_ONCE_SECONDS = 0.001
"""Nobody gets time to finish; aiohttp takes 0 for "for ever"."""
MAX_BODY = 256 * 2**20


class PeerServer:
    """One peer's listening socket."""

    def __init__(self, respond: Respond) -> None:
        """`respond` answers one call; it may take its time."""
        self._respond = respond
        self._server = web.Server(self._handle, keepalive_timeout=SERVER_KEEP_ALIVE_SECONDS)
        self._socket: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> int:
        """Listen; the port, also where 0 was given for any."""
        self._socket = await asyncio.get_running_loop().create_server(self._server, address, port)
        return int(self._socket.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop every connection, as a killed process does."""
        if self._socket is not None:
            self._socket.close()
        await self._server.shutdown(timeout=AT_ONCE_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await _body(request)
        try:
            call = _call(request, raw)
        except ValueError as error:
            message = {"status": {"error": f"Format error in JSON body: {error}"}, "time": 0.0}
            return web.json_response(message, status=400)
        answer = await self._respond(call)
        if answer.dropped and request.transport is not None:
            request.transport.close()
        return await _send(request, answer)


async def _body(request: web.BaseRequest) -> bytes:
    if request.content_type.startswith("multipart/"):
        part = await (await request.multipart()).next()
        return b"" if part is None else bytes(await part.read())  # type: ignore[union-attr]
    return await _limited(request)


async def _limited(request: web.BaseRequest) -> bytes:
    chunks, size = [], 0
    async for chunk in request.content.iter_chunked(2**16):
        size += len(chunk)
        if size > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, size)
        chunks.append(chunk)
    return b"".join(chunks)


def _call(request: web.BaseRequest, raw: bytes) -> Call:
    path = request.raw_path.partition("?")[0].strip("/")
    segments = tuple(unquote(segment) for segment in path.split("/")) if path else ()
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    multipart = request.content_type.startswith("multipart/")
    return Call(
        request.method,
        segments,
        dict(request.query),
        request.headers.get("api-key") or bearer or None,
        json.loads(raw) if raw and not multipart else None,
        raw,
    )


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    if answer.stream is not None:
        return await _stream(request, answer)
    if answer.text is not None:
        return web.Response(text=answer.text, status=answer.status)
    return web.json_response(answer.body, status=answer.status or 500)


async def _stream(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    response.content_length = answer.length
    response.content_type = "application/octet-stream"
    await response.prepare(request)
    assert answer.stream is not None, "only answers with a stream come here"
    for chunk in answer.stream():
        await response.write(chunk)
    await response.write_eof()
    return response
