"""A web server on the loopback that answers as a test wants, byte for byte where it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class WebServer:
    """Keeps what it was asked and answers with the next of `replies`, with the last one for ever.

    Attributes:
        replies: a coroutine function of the request, or a response to be sent once.
        asked: method, path with query, headers and body of each request.
    """

    def __init__(self) -> None:
        self.replies: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return await reply(request)


def plain(body: Any, status: int = 200, kind: str = "application/json", **headers: str) -> Any:
    """A reply that is made anew for each request; what is not text or bytes is sent as JSON."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, content_type=kind, headers=headers)
        if isinstance(body, str):
            return web.Response(text=body, status=status, content_type=kind, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return reply


def moved(where: str, status: int = 302) -> Any:
    """A redirect."""
    return plain("", status, "text/plain", Location=where)


def endless(kind: str, pause_s: float, chunk: bytes = b" ") -> Any:
    """A body that never ends, a chunk at a time."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            await response.write(chunk)
            await asyncio.sleep(pause_s)

    return reply


@asynccontextmanager
async def serving(*replies: Any) -> AsyncIterator[WebServer]:
    """The server, answering on 127.0.0.1."""
    server = WebServer()
    server.replies = list(replies)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        await runner.cleanup()
