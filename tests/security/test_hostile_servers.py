"""Servers that send without end, packed or not, and search services that echo: bounded, and no half of a secret."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from evalkit.engines.openai import OpenAIEngine, stream
from evalkit.errors import EngineError, EvalkitError, SandboxError
from evalkit.search._http import Service
from evalkit.search.base import SearchFailedError
from tests.engines.openai_server import Server, ask, said, serving

GIGABYTE = 1 << 30
MOST = 200 << 20
"""Bytes that any of this may take; one of the bodies here unpacks to five times as much."""


def bomb() -> bytes:
    """A gigabyte, packed."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join([*(pack.compress(zeros) for _ in range(GIGABYTE >> 20)), pack.flush()])


@asynccontextmanager
async def measured() -> AsyncIterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_a_packed_reply_is_not_unpacked_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = bomb()
    monkeypatch.setattr(stream, "MOST_BYTES", 32 << 20)
    server = Server()
    server.reply = lambda body: web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": kind})
    async with serving(server):
        engine = OpenAIEngine(base_url=server.url, attempts=1, timeout_s=60, stream="event" in kind, references=False)
        await engine.start()
        async with measured():
            with pytest.raises(EngineError):
                await engine.generate(ask("hi"))
        await engine.close()


def test_a_stream_of_whole_events_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_BYTES", 1 << 20)
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n' * 1000
    found = stream.Stream()
    for _ in range((1 << 20) // len(event)):
        found.feed(event)
    with pytest.raises(EngineError, match="more than 1 MB"):
        found.feed(event)


async def test_words_of_the_server_are_short_and_on_one_line() -> None:
    server = Server()
    server.card = {"id": "m" * 5000 + "\x1b[2J", "root": "r\n" * 5000, "max_model_len": "9" * 5000}
    server.reply = lambda body: said("hello", finish="stop\x1b]0;x\x07" * 1000)
    async with serving(server):
        engine = OpenAIEngine(base_url=server.url)
        told = await engine.start()
        completion = await engine.generate(ask("hi"))
        await engine.close()
    assert all(len(str(value)) < 1000 and str(value).isprintable() for value in told.values())
    assert len(completion.finish_reason) <= 40
    assert completion.finish_reason.isprintable()


KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize("status", [302, 400, 401, 418, 429])
@pytest.mark.parametrize("at", range(0, 320, 16))
async def test_no_half_of_a_search_key_is_left_where_a_message_is_cut(status: int, at: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        text = "x" * at + request.headers["X-API-KEY"]
        return web.Response(status=status, reason=text, text=text, headers={"Location": f"http://h/{text}"})

    app = web.Application()
    app.router.add_post("/search", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service = Service("S", refused="x", headers={"X-API-KEY": KEY}, secrets=(KEY,), backoff_s=0.0)
    try:
        with pytest.raises((SearchFailedError, SandboxError, EvalkitError)) as caught:
            await service.ask("POST", f"http://127.0.0.1:{runner.addresses[0][1]}/search", json={})
    finally:
        await service.close()
        await runner.cleanup()
    assert "012345" not in str(caught.value)
