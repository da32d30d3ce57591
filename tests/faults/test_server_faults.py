"""What a model server can do wrong, and what becomes of the request."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import pytest

from evalkit.engines.base import Completion, Message, Request, Sampling
from evalkit.engines.openai import OpenAIEngine, body, retry
from evalkit.errors import (
    ContextLengthError,
    EngineError,
    EngineUnavailableError,
    EvalkitError,
    InfrastructureError,
)
from evalkit.images import ImageFile

KEY = "sk-test-0123456789abcdef"
DROP, HANG = b"drop", b"hang"


def http(status: int, body: Any, *headers: str, length: int | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def said(text: str, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "message": {"role": "assistant", "content": text}}]}


FINE = http(200, said("fine"))
MODELS = http(200, {"data": [{"id": "m"}]})


class Server:
    """Answers each request with the next of `replies`, byte for byte; with the last one for ever."""

    def __init__(self) -> None:
        self.models: list[bytes] = [MODELS]
        self.replies: list[bytes] = [FINE]
        self.asked = 0
        self.paths: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                self.paths.append(head.split(" ")[1])
                queue = self.models if self.paths[-1].endswith("/models") else self.replies
                reply = queue.pop(0) if len(queue) > 1 else queue[0]
                if queue is self.replies:
                    self.asked += 1
                if "content-length: " in head and reply is not DROP:
                    await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
                if reply is HANG:
                    await reader.read()
                    return
                if reply is DROP:
                    return
                writer.write(reply)
                await writer.drain()
                declared = (
                    int(reply.split(b"Content-Length: ")[1].split(b"\r\n")[0]) if b"Content-Length" in reply else -1
                )
                if declared != len(reply.partition(b"\r\n\r\n")[2]):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    yield server
    listener.close()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(base_url=server.url, attempts=3, timeout_s=5, backoff_s=0.001, references=False)
    await engine.start()
    yield engine
    await engine.close()
    await asyncio.sleep(0)


def ask(*parts: Any) -> Request:
    return Request(messages=(Message("user", parts or ("hi",)),), sampling=Sampling(), max_tokens=8)


async def generate(engine: OpenAIEngine, request: Request | None = None) -> Completion:
    return await asyncio.wait_for(engine.generate(request or ask()), 20)


PASSING = {
    "408": http(408, b""),
    "409": http(409, b""),
    "425": http(425, b""),
    "500": http(500, b"Internal Server Error"),
    "503": http(503, b"<html>starting</html>"),
    "dropped": DROP,
    "half a body": http(200, said("lost"), length=4000),
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "not HTTP": b"\x00\x01garbage\r\n\r\n",
    "truncated JSON": http(200, b'{"choices": [{"message": {"content": "a'),
    "HTML": http(200, b"<html><body>Welcome</body></html>"),
    "empty": http(200, b""),
    "not UTF-8": http(200, b'{"choices": [{"message": {"content": "\xff"}}]}'),
    "deep": http(200, b"[" * 100_000),
    "no choices": http(200, {"choices": []}),
    "null": http(200, b"null"),
    "no message": http(200, {"choices": [{"text": "an old completion"}]}),
    "content of another type": http(200, {"choices": [{"message": {"content": 5}}]}),
    "error in a 200": http(200, {"error": {"message": "worker died", "code": 502}}),
    "error text in a 200": http(200, {"error": "worker died"}),
    "aborted": http(200, said("half a sent", finish="abort")),
}


@pytest.mark.parametrize("name", PASSING)
async def test_a_passing_fault_is_tried_again_and_counted(server: Server, engine: OpenAIEngine, name: str) -> None:
    server.replies = [PASSING[name], PASSING[name], FINE]
    completion = await generate(engine)
    assert (completion.text, completion.retries) == ("fine", 2)


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_that_stays_is_an_error_in_one_line_and_never_a_completion(
    server: Server, engine: OpenAIEngine, name: str
) -> None:
    server.replies = [PASSING[name]]
    with pytest.raises(EngineError, match="gave up after 3 tries") as caught:
        await generate(engine)
    assert type(caught.value) is EngineError
    assert server.asked == 3
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


BUSY = {
    "429": http(429, {"error": {"message": "slow down"}}, "Retry-After: 0"),
    "529": http(529, b"overloaded"),
    "429 in a 200": http(200, {"error": {"message": "rate limit", "code": 429}}),
}


@pytest.mark.parametrize("name", BUSY)
async def test_a_server_that_is_busy_costs_no_attempt(server: Server, engine: OpenAIEngine, name: str) -> None:
    server.replies = [*([BUSY[name]] * 7), FINE]
    completion = await generate(engine)
    assert (completion.text, completion.retries) == ("fine", 7)


@pytest.mark.parametrize("name", BUSY)
async def test_a_server_that_stays_busy_is_given_up_after_the_waiting_that_was_allowed(
    server: Server, name: str
) -> None:
    engine = OpenAIEngine(base_url=server.url, attempts=1, backoff_s=0.02, busy_s=0.3, references=False)
    await engine.start()
    server.replies = [BUSY[name]]
    with pytest.raises(EngineError, match=r"put off \d+ times .* gave up after 0\.3 s of waiting; lower") as caught:
        await generate(engine)
    assert type(caught.value) is EngineError
    assert "\n" not in str(caught.value)
    await engine.close()


async def test_a_large_body_is_sent_whole_again_after_a_fault(server: Server, engine: OpenAIEngine) -> None:
    server.replies = [DROP, PASSING["500"], FINE]
    await generate(engine, ask("x" * 3_000_000))
    assert server.asked == 3


async def test_retry_after_is_waited_for(server: Server, engine: OpenAIEngine) -> None:
    server.replies = [http(429, b"", "Retry-After: 0.3"), FINE]
    start = time.perf_counter()
    assert (await generate(engine)).retries == 1
    assert time.perf_counter() - start >= 0.3


def test_retry_after_is_read_as_seconds_or_date_and_capped() -> None:
    assert retry.retry_after("7") == 7
    assert retry.retry_after(formatdate(1_000_010, usegmt=True), now=1_000_000) == 10
    assert retry.retry_after(formatdate(1_000, usegmt=True), now=1_000_000) == 0
    for unreadable in (None, "", "soon", "nan", "inf", "Wed, 99 Foo"):
        assert retry.retry_after(unreadable) is None
    assert 60 <= retry.backoff(1, 0.5, 3600) <= 60.5
    assert 7 <= retry.backoff(1, 0.5, 7) <= 7.5


def test_backoff_grows_up_to_a_cap_with_full_jitter() -> None:
    drawn = [[retry.backoff(failures, 0.5) for _ in range(200)] for failures in (1, 3, 5000)]
    assert max(drawn[0]) <= 0.5
    assert 0.5 < max(drawn[1]) <= 2
    assert 2 < max(drawn[2]) <= 30
    assert all(min(waits) < 0.2 * max(waits) for waits in drawn)


async def test_a_server_that_hangs_is_timed_out(server: Server) -> None:
    engine = OpenAIEngine(base_url=server.url, attempts=2, timeout_s=0.15, backoff_s=0.001)
    await engine.start()
    server.replies = [HANG, FINE]
    assert (await generate(engine)).retries == 1
    server.replies = [HANG]
    with pytest.raises(EngineError, match=r"no reply within 0\.15 s"):
        await generate(engine)
    await engine.close()


async def test_a_server_that_does_not_read_is_timed_out_and_its_upload_makes_room(server: Server) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        writer.transport.abort()

    listener = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    engine = OpenAIEngine(base_url=server.url, attempts=1, timeout_s=0.3, backoff_s=0.1)
    await engine.start()
    (replica,) = engine._replicas
    fine = replica._endpoint
    replica._endpoint = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/chat/completions"
    stuck = [engine.generate(ask("x" * 20_000_000)) for _ in range(body.UPLOADS + 1)]
    ended = await asyncio.gather(*stuck, return_exceptions=True)
    assert all(type(end) is EngineError for end in ended)
    replica._endpoint = fine
    assert (await generate(engine, ask("x" * 3_000_000))).text == "fine"
    await engine.close()
    listener.close()
    await asyncio.sleep(0.4)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "the request exceeds the available context size. try increasing the context size",
        "max_tokens must be at least 1, got -12.",
    ],
)
async def test_a_conversation_that_does_not_fit_is_told_apart(
    server: Server, engine: OpenAIEngine, message: str
) -> None:
    server.replies = [http(400, {"object": "error", "message": message, "code": 400})]
    with pytest.raises(ContextLengthError):
        await generate(engine)
    server.replies = [http(200, {"error": {"message": message}})]
    with pytest.raises(ContextLengthError):
        await generate(engine)
    server.replies = [http(400, {"error": {"message": "no", "code": "context_length_exceeded"}})]
    with pytest.raises(ContextLengthError):
        await generate(engine)
    assert server.asked == 3


@pytest.mark.parametrize("status", [400, 413, 418, 422])
async def test_a_refused_request_is_not_repeated(server: Server, engine: OpenAIEngine, status: int) -> None:
    server.replies = [http(status, {"error": {"message": "bad\nimage"}})]
    with pytest.raises(EngineError, match=f"{status}: bad image") as caught:
        await generate(engine)
    assert type(caught.value) is EngineError
    assert server.asked == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_server_that_refuses_everything_stops_the_run(
    server: Server, engine: OpenAIEngine, status: int
) -> None:
    server.replies = [http(status, {"detail": "no such\nthing"})]
    with pytest.raises(EngineUnavailableError, match=f"{status}: no such thing"):
        await generate(engine)
    assert server.asked == 1


async def test_a_used_up_quota_stops_the_run(server: Server, engine: OpenAIEngine) -> None:
    server.replies = [http(429, {"error": {"message": "You ran out.", "code": "insufficient_quota"}})]
    with pytest.raises(EngineUnavailableError, match="quota"):
        await generate(engine)


@pytest.mark.parametrize("place", ["http://elsewhere.invalid/v1", "/v2/chat/completions"])
async def test_redirects_are_not_followed(server: Server, engine: OpenAIEngine, place: str) -> None:
    server.replies = [http(307, b"", f"Location: {place}")]
    with pytest.raises(EngineUnavailableError, match="redirects to"):
        await generate(engine)
    assert server.asked == 1
    assert server.paths == ["/v1/models", "/v1/chat/completions"]


ECHOES = {
    "400": http(400, {"error": {"message": "x" * 280 + f" Bearer {KEY}"}}),
    "401": http(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
    "500": http(500, f"header was Bearer {KEY}".encode()),
    "200 HTML": http(200, f"<html>{KEY}</html>".encode()),
    "200 HTML, cut inside the key": http(200, b"<html>" + b"x" * 64 + KEY.encode()),
    "200 error": http(200, {"error": {"message": KEY}}),
    "redirect": http(302, b"", f"Location: http://h/?key={KEY}"),
    "bad header": f"HTTP/1.1 200 OK\r\nbad header {KEY}\r\n\r\n".encode(),
    "bad status line": f"HTTP/1.1 {KEY}\r\n\r\n".encode(),
}


@pytest.mark.parametrize("name", ECHOES)
async def test_a_key_that_the_server_echoes_is_redacted(
    server: Server, engine: OpenAIEngine, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies = [ECHOES[name]]
    with pytest.raises(EngineError) as caught:
        await generate(engine)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "sk-test" not in f"{seen} {seen!r}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    assert "sk-test" not in caplog.text


async def test_a_key_echoed_at_the_start_is_redacted(server: Server) -> None:
    for reply in (http(401, KEY.encode()), http(200, KEY.encode()), http(418, b"", f"Server: {KEY}")):
        server.models = [reply]
        with pytest.raises(EvalkitError) as caught:
            await OpenAIEngine(base_url=server.url, attempts=1).start()
        assert KEY not in str(caught.value)
    server.models = [http(200, {"data": [{"id": "m"}]}, f"Server: {KEY}")]
    engine = OpenAIEngine(base_url=server.url)
    assert (await engine.start())["server"] == "[redacted]"
    await engine.close()


async def start(server: Server, model: str | None = None) -> dict[str, Any]:
    engine = OpenAIEngine(base_url=server.url, model=model, attempts=3, backoff_s=0.001, timeout_s=5)
    told = await engine.start()
    await engine.close()
    return told


async def test_an_unreachable_server_is_named_with_what_to_do() -> None:
    with pytest.raises(InfrastructureError, match=r"cannot reach http://127\.0\.0\.1:9/v1/models.*start the server"):
        await OpenAIEngine(base_url="http://127.0.0.1:9/v1").start()


async def test_a_server_that_is_still_starting_is_waited_for(server: Server) -> None:
    server.models = [http(503, b"loading"), MODELS]
    assert (await start(server))["model"] == "m"
    server.models = [http(503, b"loading")]
    with pytest.raises(InfrastructureError, match="503: loading"):
        await start(server)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_or_missing_key_is_named_by_its_variable(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.models = [http(status, {"error": {"message": "who are you"}})]
    with pytest.raises(EvalkitError, match="refuses the key in OPENAI_API_KEY"):
        await start(server)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EvalkitError, match="set the environment variable OPENAI_API_KEY"):
        await start(server)


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_without_a_model_list_needs_the_name(server: Server, status: int) -> None:
    server.models = [http(status, b"")]
    assert (await start(server, "mine"))["model"] == "mine"
    with pytest.raises(EvalkitError, match="give the model's name"):
        await start(server)


@pytest.mark.parametrize(("ids", "shown"), [(["b", "a"], "a, b"), ([], "none")])
async def test_without_a_name_there_must_be_one_model(server: Server, ids: list[str], shown: str) -> None:
    server.models = [http(200, {"data": [{"id": name} for name in ids]})]
    with pytest.raises(EvalkitError, match=f"served are: {shown}"):
        await start(server)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 1}', b'{"data": [1]}', b'{"models": []}'])
async def test_a_page_in_place_of_a_model_list_points_at_the_url(server: Server, body: bytes) -> None:
    server.models = [http(200, body)]
    with pytest.raises(EvalkitError, match="does base_url lack its /v1"):
        await start(server, "m")


async def test_a_redirect_at_the_start_says_where_to(server: Server) -> None:
    server.models = [http(301, b"", "Location: https://h/v1/models")]
    with pytest.raises(EvalkitError, match="redirects to https://h/v1/models"):
        await start(server)


async def test_a_server_that_answers_before_it_has_read_a_large_body_ends_the_request(
    server: Server, engine: OpenAIEngine
) -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, {"error": {"message": "too large"}}, "Connection: close"))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=4096)
    port = listener.sockets[0].getsockname()[1]
    engine._replicas[0]._endpoint = f"http://127.0.0.1:{port}/v1/chat/completions"
    with pytest.raises(EngineError, match=r"413|gave up"):
        await generate(engine, ask("x" * 20_000_000))
    listener.close()


async def test_a_connection_closed_under_a_large_upload_is_tried_again(server: Server, engine: OpenAIEngine) -> None:
    server.replies = [DROP, FINE]
    image = ImageFile.from_bytes(_jpeg(), "big")
    completion = await generate(engine, ask(image, "hi"))
    assert (completion.text, completion.retries) == ("fine", 1)


def _jpeg() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.frombytes("RGB", (1200, 1200), os.urandom(1200 * 1200 * 3)).save(buffer, format="JPEG", quality=98)
    return buffer.getvalue()
