"""A relay in front of a real server, so that a model of random weights calls tools: it says what a test wants first."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar

from aiohttp import ClientSession, web

T = TypeVar("T")


class Relay:
    """Passes everything on, and the server answers every request; then those of `says` that a conversation does not
    hold yet stand in place of what the model said.

    Attributes:
        says: what the model is to say, in order.
        refused: what the server said of requests for completions that it did not take.
        bodies: the requests for completions that were answered with the model's own words.
    """

    def __init__(self, url: str) -> None:
        self.server = url
        self.url = ""
        self.says: Sequence[str] = ()
        self.refused: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    async def answer(self, request: web.Request, session: ClientSession) -> web.Response:
        sent = await request.read()
        kind = {"Content-Type": request.content_type}
        path = request.rel_url.path.removeprefix("/v1")
        async with session.request(request.method, self.server + path, data=sent, headers=kind) as reply:
            got = await reply.read()
            status = reply.status
        body = json.loads(sent) if sent else {}
        # the engine's probes ask for one token, and some of them for what no server has
        if path == "/chat/completions" and body["max_tokens"] > 1:
            if status >= 400:
                self.refused.append(got.decode()[:500])
            else:
                got = self.said(body, got)
        return web.Response(body=got, status=status, content_type="application/json")

    def said(self, body: dict[str, Any], got: bytes) -> bytes:
        words = json.dumps([message["content"] for message in body["messages"] if message["role"] == "assistant"])
        for text in self.says:
            if json.dumps(text)[1:-1] not in words:
                reply = json.loads(got)
                reply["choices"][0] |= {"finish_reason": "stop", "stop_reason": None}
                reply["choices"][0]["message"]["content"] = text
                return json.dumps(reply).encode()
        self.bodies.append(body)
        return got


@asynccontextmanager
async def relaying(url: str) -> Any:
    """The relay, answering on 127.0.0.1."""
    relay = Relay(url)
    async with ClientSession() as session:

        async def answer(request: web.Request) -> web.Response:
            return await relay.answer(request, session)

        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield relay
        finally:
            await runner.cleanup()


@contextmanager
def in_thread(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What an asynchronous context manager gives, living in a thread, so that another process can ask it."""
    ready, done = threading.Event(), threading.Event()
    found: list[T] = []

    async def run() -> None:
        async with manager as value:
            found.append(value)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join(30)
