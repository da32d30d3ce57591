"""A chat-completions server in the test's own process, and the requests and images to try it with."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from PIL import Image

from evalkit.engines.base import Message, Request, Sampling

KEY = "sk-test-0123456789abcdef"


class Server:
    """Keeps what it was sent and answers with `reply`, which tests replace.

    A reply is the JSON of a completion, sent in pieces where the request asks for a stream; a web.Response to
    be sent as it is; or a coroutine that gives one of the two.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        self.card: dict[str, Any] = {"id": "m", "owned_by": "someone"}
        self.reply: Callable[[dict[str, Any]], Any] = lambda body: said("hello")
        self.url = ""

    async def models(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers)
        return web.json_response({"object": "list", "data": [self.card]}, headers={"Server": "fake/1"})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        assert request.content_length == len(raw)
        self.bodies.append(raw)
        self.headers.append(request.headers)
        body = json.loads(raw)
        reply = self.reply(body)
        if asyncio.iscoroutine(reply):
            reply = await reply
        if isinstance(reply, web.StreamResponse):
            return reply
        if not body.get("stream"):
            return web.json_response(reply)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in [*map(json.dumps, pieces(reply)), "[DONE]"]:
            await response.write(f"data: {event}\n\n".encode())
        return response

    @property
    def last(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.bodies[-1])
        return body


@asynccontextmanager
async def serving(server: Server | None = None, port: int = 0) -> AsyncIterator[Server]:
    """The server, answering on the loopback."""
    server = server or Server()
    app = web.Application(client_max_size=2**28)
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def said(content: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A completion; further fields belong to the message."""
    choice = {name: more.pop(name) for name in ("stop_reason", "matched_stop") if name in more}
    message = {"role": "assistant", "content": content, **more}
    return {
        "choices": [{"index": 0, "finish_reason": finish, "message": message, **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"image_tokens": 4}},
    }


def pieces(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks in which a server would stream a completion: two characters each, usage in the last."""
    (choice,) = reply["choices"]
    message = dict(choice["message"])
    deltas: list[dict[str, Any]] = [{"role": message.pop("role"), "content": ""}]
    for name, value in message.items():
        if isinstance(value, str):
            deltas += [{name: value[at : at + 2]} for at in range(0, len(value), 2)]
        elif name == "tool_calls":
            for index, call in enumerate(value):
                deltas += call_deltas(index, call)
        elif isinstance(value, list):
            deltas += [{name: [part]} for part in value]
    last = {name: value for name, value in choice.items() if name != "message"}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    return [*chunks, {"choices": [{**last, "delta": {}}]}, {"choices": [], "usage": reply.get("usage")}]


def call_deltas(index: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    """The pieces of one tool call: its name first, then its arguments a few characters at a time."""
    function = call["function"]
    arguments = function["arguments"]
    rest = [arguments[at : at + 3] for at in range(0, len(arguments), 3)] if isinstance(arguments, str) else [arguments]
    head = {"index": index, "id": f"c{index}", "type": "function", "function": {"name": function["name"]}}
    return [
        {"tool_calls": [piece]} for piece in [head, *({"index": index, "function": {"arguments": r}} for r in rest)]
    ]


def ask(*parts: Any, stop: tuple[str, ...] = (), **more: Any) -> Request:
    """A request with one user message."""
    messages = more.pop("messages", (Message("user", parts),))
    sampling = more.pop("sampling", Sampling())
    return Request(messages=messages, sampling=sampling, max_tokens=64, stop=stop, **more)


def picture(size: int = 8, colour: int = 0) -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (colour, 20, 30)).save(buffer, format="JPEG")
    return buffer.getvalue()
