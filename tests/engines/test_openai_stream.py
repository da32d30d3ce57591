"""Replies in pieces: the same completion as in one, with the times at which the pieces came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from evalkit.engines.base import Completion
from evalkit.engines.openai import OpenAIEngine, chat
from evalkit.engines.openai.stream import Stream
from evalkit.errors import ContextLengthError, EngineError, EngineUnavailableError
from evalkit.records import Timing
from tests.engines.openai_server import Server, ask, pieces, said, serving

EVENTS = {"Content-Type": "text/event-stream"}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def started(server: Server, **more: Any) -> OpenAIEngine:
    options = {"stream": True, "references": False, "backoff_s": 0.001, "attempts": 3, "silence_s": 0.2} | more
    engine = OpenAIEngine(base_url=server.url, **options)
    await engine.start()
    return engine


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[OpenAIEngine]:
    engine = await started(server)
    yield engine
    await engine.close()


def native(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


REPLIES = {
    "text": said("It is plain to see."),
    "nothing": said(""),
    "null": said(None),
    "non-ASCII": said("Größe: 3 µm 🎯"),
    "cut off": said("half a sent", finish="length"),
    "stopped": said("<tool_call>{}", stop_reason="</tool_call>"),
    "stopped, as SGLang says it": said("<tool_call>{}", matched_stop="</tool_call>"),
    "stopped, with the string": said("<tool_call>{}</tool_call>"),
    "stopped by a token": said("a", stop_reason=151645),
    "parts": said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    "refusal": said(None, refusal="I cannot"),
    "reasoning_content": said("42", reasoning_content="so it is"),
    "reasoning": said("42", reasoning="so it is"),
    "unfinished reasoning": said(None, reasoning="so far", finish="length"),
    "a call": said("Look.", finish="tool_calls", tool_calls=[native("zoom", '{"x": 1}')]),
    "two calls": said(None, tool_calls=[native("zoom", '{"box": [1, 2]}'), native("python", '{"code": "1"}')]),
    "a call with an object": said(None, tool_calls=[native("zoom", {"x": 1})]),
    "a call without arguments": said(None, tool_calls=[native("zoom", "")]),
    "a broken call": said(None, tool_calls=[native("zoom", '{"x": ')]),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_a_stream_and_a_whole_reply_give_the_same_completion(
    server: Server, engine: OpenAIEngine, name: str
) -> None:
    server.reply = lambda body: REPLIES[name]
    whole = await started(server, stream=False)
    request = ask("hi", stop=("</tool_call>",))
    streamed, plain = await engine.generate(request), await whole.generate(request)
    assert server.bodies[0] != server.bodies[1]
    facts = [(c.text, c.finish_reason, c.usage, c.retries) for c in (streamed, plain)]
    assert facts[0] == facts[1]
    assert streamed.usage.prompt_tokens == 7
    assert streamed.timing.ttft_s is not None
    assert plain.timing.ttft_s is None
    await whole.close()


async def test_a_stream_is_asked_for_with_its_token_counts(server: Server, engine: OpenAIEngine) -> None:
    await engine.generate(ask("hi"))
    assert server.last["stream"] is True
    assert server.last["stream_options"] == {"include_usage": True}


Write = Callable[[web.StreamResponse, Callable[[Any], Awaitable[None]]], Awaitable[None]]


def by_hand(write: Write) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that streams what `write` writes: objects as events, bytes as they are."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)

        async def send(what: Any) -> None:
            data = what if isinstance(what, bytes) else b"data: " + json.dumps(what).encode() + b"\n\n"
            await response.write(data)

        await write(response, send)
        return response

    return handle


class Scripted(Server):
    """Streams by hand, one script after another; the last for ever."""

    def __init__(self, *scripts: Write) -> None:
        super().__init__()
        self.scripts = list(scripts)
        self.asked = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        return await by_hand(script)(request)


def delta(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


async def fine(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    for what in (delta("fi"), delta("ne"), END, USAGE, b"data: [DONE]\n\n"):
        await send(what)


async def answered(*scripts: Write, **options: Any) -> tuple[Completion, Scripted]:
    async with serving(Scripted(*scripts)) as server:
        assert isinstance(server, Scripted)
        engine = await started(server, **options)
        try:
            return await engine.generate(ask("hi")), server
        finally:
            await engine.close()


async def test_times_are_those_at_which_the_pieces_arrive() -> None:
    async def slow(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        await asyncio.sleep(0.1)
        await send(delta("a"))
        await asyncio.sleep(0.12)
        await send(delta("b"))
        for what in (END, USAGE, b"data: [DONE]\n\n"):
            await send(what)

    completion, _ = await answered(slow)
    timing = completion.timing
    assert completion.text == "ab"
    assert timing.ttft_s is not None
    assert timing.decode_s is not None
    assert timing.ttft_s >= 0.1, "an empty first piece is no token"
    assert timing.decode_s >= 0.12
    assert timing.queue_s is not None


async def broken(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(delta("half a sent"))
    assert response._req is not None
    assert response._req.transport is not None
    response._req.transport.abort()


async def ends_early(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(delta("half a sent"))


async def done_too_soon(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(delta("half a sent"))
    await send(b"data: [DONE]\n\n")


async def garbage(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(delta("half"))
    await send(b'data: {"choices": [{"ind\n\n')


async def binary(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(b"\x00\xff\xfe<html>\n\n\n")


async def odd_types(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"choices": [{"index": 0, "delta": {"content": 5}}]})


async def worker_died(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send(delta("half"))
    await send({"error": {"message": "worker died", "code": 500}})
    await send(b"data: [DONE]\n\n")


async def old_error(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"object": "error", "message": "worker died", "code": 503})


async def aborted(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": "abort"}]})


FAULTS = {
    "broken off": broken,
    "ended early": ends_early,
    "done too soon": done_too_soon,
    "cut JSON": garbage,
    "no events": binary,
    "odd types": odd_types,
    "an error half-way": worker_died,
    "an error in the old form": old_error,
    "aborted": aborted,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_stream_that_goes_wrong_is_tried_again_and_nothing_of_it_is_kept(name: str) -> None:
    completion, server = await answered(FAULTS[name], FAULTS[name], fine)
    assert (completion.text, completion.retries, server.asked) == ("fine", 2, 3)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_stream_that_goes_wrong_every_time_is_an_error_in_one_line(name: str) -> None:
    with pytest.raises(EngineError, match="gave up after 3 tries") as caught:
        await answered(FAULTS[name])
    assert "\n" not in str(caught.value)


async def test_a_stream_that_falls_silent_is_given_up_within_its_limit_and_tried_again() -> None:
    async def silent(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await send(delta("half"))
        await asyncio.sleep(30)

    completion, server = await asyncio.wait_for(answered(silent, fine), 10)
    assert (completion.text, completion.retries) == ("fine", 1)
    with pytest.raises(EngineError, match=r"the reply stopped coming for 0\.2 s"):
        await asyncio.wait_for(answered(silent), 10)
    assert server.asked == 2


async def test_a_slow_stream_outlives_the_limit_between_its_pieces() -> None:
    async def steady(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        for at in range(8):
            await asyncio.sleep(0.06)
            await send(delta(str(at)))
        for what in (END, USAGE):
            await send(what)

    completion, _ = await answered(steady)
    assert (completion.text, completion.retries) == ("01234567", 0)


async def test_a_connection_left_open_after_the_last_event_holds_nothing_up() -> None:
    async def lingering(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await fine(response, send)
        await asyncio.sleep(30)

    completion, server = await asyncio.wait_for(answered(lingering, silence_s=20), 10)
    assert (completion.text, server.asked) == ("fine", 1)


async def test_comments_line_ends_and_other_fields_do_not_matter() -> None:
    async def wordy(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await send(b": PROCESSING\r\n\r\nevent: chunk\r\nid: 7\r\n")
        await send(b'data:{"choices":[{"index":0,\r\ndata:"delta":{"content":"o"}}]}\r\n\r\n')
        await send({"choices": [{"index": 1, "delta": {"content": "another choice"}}]})
        await send(delta("k"))
        await send(END)
        await send(b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n')

    completion, _ = await answered(wordy)
    assert completion.text == "ok"
    assert completion.usage.prompt_tokens == 1


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_to_stream_is_asked_without_once_and_for_all(server: Server, status: int) -> None:
    def reply(body: dict[str, Any]) -> Any:
        if body.get("stream"):
            return web.json_response({"error": {"message": "Unknown parameter: stream_options"}}, status=status)
        return said("whole")

    server.reply = reply
    engine = await started(server)
    done = [await engine.generate(ask("hi")) for _ in range(3)]
    assert [(completion.text, completion.retries) for completion in done] == [("whole", 0)] * 3
    assert len(server.bodies) == 4
    assert engine.facts()[0]["streamed"] is False
    await engine.close()


async def test_a_server_that_ignores_the_wish_is_read_as_it_answers(server: Server, engine: OpenAIEngine) -> None:
    server.reply = lambda body: web.json_response(said("whole"))
    completion = await engine.generate(ask("hi"))
    assert (completion.text, completion.timing.ttft_s) == ("whole", None)


async def test_where_streams_lack_the_token_counts_whole_replies_are_asked_for(server: Server) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return {**said("x"), "usage": None} if body.get("stream") else said("x")

    server.reply = reply
    engine = await started(server)
    usage = [(await engine.generate(ask("hi"))).usage.prompt_tokens for _ in range(2)]
    assert usage == [None, 7]
    await engine.close()


async def test_errors_in_a_stream_mean_what_they_mean_elsewhere() -> None:
    async def too_long(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"error": {"message": "This model's maximum context length is 9 tokens", "code": 400}})

    async def no_quota(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"error": {"message": "no more", "code": "insufficient_quota"}})

    with pytest.raises(ContextLengthError):
        await answered(too_long)
    with pytest.raises(EngineError):
        await answered(no_quota)


async def test_a_key_in_a_stream_is_masked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-test-0123456789abcdef")
    server.reply = lambda body: said("your key is sk-test-0123456789abcdef")
    engine = await started(server, api_key_env="MY_KEY")
    assert (await engine.generate(ask("hi"))).text == "your key is [redacted]"
    await engine.close()


async def test_a_request_cancelled_in_mid_stream_frees_its_slot(server: Server) -> None:
    async def endless(response: web.StreamResponse, send: Callable[[Any], Awaitable[None]]) -> None:
        while True:
            await send(delta("on and "))
            await asyncio.sleep(0.01)

    async with serving(Scripted(endless, fine)) as scripted:
        engine = await started(scripted, connections=1)
        task = asyncio.create_task(engine.generate(ask("hi")))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await engine.generate(ask("hi"))).text == "fine"
        await engine.close()
        with pytest.raises(EngineUnavailableError):
            await engine.generate(ask("hi"))


CALLS = [
    # by index, mixed
    (
        [
            {"index": 1, "id": "b", "function": {"name": "two", "arguments": ""}},
            {"index": 0, "id": "a", "function": {"name": "one", "arguments": '{"x"'}},
            {"index": 1, "function": {"arguments": "{}"}},
            {"index": 0, "function": {"arguments": ": 1}"}},
        ],
        [("one", '{"x": 1}'), ("two", "{}")],
    ),
    # all numbered 0, each whole
    (
        [
            {"index": 0, "id": "a", "function": {"name": "one", "arguments": "{}"}},
            {"index": 0, "id": "b", "function": {"name": "one", "arguments": '{"x": 2}'}},
        ],
        [("one", "{}"), ("one", '{"x": 2}')],
    ),
    # not numbered at all
    (
        [
            {"id": "a", "function": {"name": "one", "arguments": '{"x"'}},
            {"function": {"arguments": ": 1}"}},
            {"id": "b", "function": {"name": "two", "arguments": "{}"}},
        ],
        [("one", '{"x": 1}'), ("two", "{}")],
    ),
    # a name in pieces, and a name said again with each
    ([{"index": 0, "function": {"name": "zo"}}, {"index": 0, "function": {"name": "om"}}], [("zoom", "")]),
    (
        [{"index": 0, "function": {"name": "zoom", "arguments": part}} for part in ("{", "}")],
        [("zoom", "{}")],
    ),
]


@pytest.mark.parametrize(("deltas", "calls"), CALLS)
def test_the_pieces_of_tool_calls_find_their_call(deltas: list[dict[str, Any]], calls: list[tuple[str, str]]) -> None:
    stream = Stream()
    for piece in deltas:
        event = {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}
        assert stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    stream.feed(b"data: " + json.dumps(END).encode() + b"\n\n")
    whole = said("", tool_calls=[native(name, arguments) for name, arguments in calls])
    assert stream.completion((), Timing()).text == chat.decode(json.dumps(whole).encode(), ()).text


@given(st.text(max_size=40), st.text(max_size=40), st.lists(st.integers(1, 30), max_size=60))
def test_it_does_not_matter_where_the_bytes_are_cut(text: str, thought: str, cuts: list[int]) -> None:
    text, thought = (value.encode("utf-8", "replace").decode() for value in (text, thought))
    reply = said(text, reasoning=thought)
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in pieces(reply)) + b"data: [DONE]\n\n"
    stream = Stream()
    for cut in cuts:
        stream.feed(data[:cut])
        data = data[cut:]
    stream.feed(data)
    assert stream.done
    assert stream.completion((), Timing()) == chat.decode(json.dumps(reply).encode(), ())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_completion_or_one_named_error(data: bytes) -> None:
    stream = Stream()

    def read() -> None:
        stream.feed(data)
        stream.feed(b"data: " + data + b"\n\n")
        stream.completion((), Timing())

    with pytest.raises(chat.BadReplyError):
        read()
