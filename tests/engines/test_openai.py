"""The engine for OpenAI-compatible servers against a real server on the loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.engines.base import Completion, Engine, Message, Sampling
from evalkit.engines.openai import OpenAIEngine, body, chat
from evalkit.errors import DataError, EngineError, EngineUnavailableError, EvalkitError
from evalkit.images import ImageFile
from evalkit.models.card import ModelCard, Served
from evalkit.runs.setup import EngineSettings, make_engine
from tests.engines.openai_server import KEY, Server, ask, picture, said, serving


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(base_url=server.url, backoff_s=0.001, references=False)
    await engine.start()
    yield engine
    await engine.close()


def large(tail: bytes = b"") -> bytes:
    """A valid JPEG of about 3 MB: noise in comment segments."""
    jpeg = picture()
    comment = b"".join(b"\xff\xfe\xff\xff" + os.urandom(0xFFFD) for _ in range(46))
    return jpeg[:2] + comment + jpeg[2:-2] + tail + jpeg[-2:]


def counted(data: bytes) -> tuple[ImageFile, list[int]]:
    reads: list[int] = []

    def read() -> bytes:
        reads.append(1)
        return data

    return ImageFile(read, "counted"), reads


def sent_image(part: dict[str, Any]) -> bytes:
    head, _, data = part["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    return base64.b64decode(data, validate=True)


async def test_a_text_comes_back_with_its_usage_and_the_request_holds_only_what_was_set(
    server: Server, engine: OpenAIEngine
) -> None:
    completion = await engine.generate(ask("hi"))
    assert (completion.text, completion.finish_reason, completion.retries) == ("hello", "stop", 0)
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.image_tokens) == (7, 2, 4)
    assert completion.timing.generate_s == 0
    assert completion.timing.ttft_s is None
    assert server.last == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 64,
        "temperature": 0.0,
    }
    assert isinstance(engine, Engine)


async def test_sampling_fields_and_stop_are_passed_on(server: Server, engine: OpenAIEngine) -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=20, repetition_penalty=1.1, seed=3)
    await engine.generate(ask("hi", sampling=sampling, stop=("</a>", "</b>")))
    body = server.last
    expected = {"temperature": 0.7, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1, "seed": 3}
    assert {name: body[name] for name in expected} == expected
    assert body["stop"] == ["</a>", "</b>"]
    assert "presence_penalty" not in body
    assert "include_stop_str_in_output" not in body


async def test_images_arrive_in_order_as_the_files_own_bytes(
    server: Server, engine: OpenAIEngine, tmp_path: Path
) -> None:
    files = [picture(8, 1), large()]
    for index, data in enumerate(files):
        (tmp_path / f"{index}.jpg").write_bytes(data)
    images = [ImageFile.from_path(tmp_path / f"{index}.jpg") for index in range(2)]
    await engine.generate(ask("first ", images[0], "", "second ", images[1], "which?"))
    content = server.last["messages"][0]["content"]
    assert [part.get("text") for part in content] == ["first ", None, "second ", None, "which?"]
    digests = [hashlib.sha256(sent_image(content[at])).hexdigest() for at in (1, 3)]
    assert digests == [hashlib.sha256(data).hexdigest() for data in files]


@pytest.mark.parametrize("data", [picture(), large()], ids=["small", "large"])
async def test_base64_is_made_once_for_all_turns_and_trajectories(
    server: Server, engine: OpenAIEngine, data: bytes
) -> None:
    image, reads = counted(data)
    await asyncio.gather(*(engine.generate(ask(image, f"turn {turn}")) for turn in range(8)))
    assert len(reads) == 2, "one read for the header, one for the base64"
    twin, twin_reads = counted(data)
    await engine.generate(ask(twin, "the same content under another handle"))
    assert len(twin_reads) == 1, "the header only"
    assert len(server.bodies) == 9
    assert all(sent_image(json.loads(raw)["messages"][0]["content"][0]) == data for raw in server.bodies)


def test_the_base64_cache_is_bounded_in_bytes_and_drops_the_least_recently_used() -> None:
    cache = body.Base64Cache(limit=3000)
    images = [ImageFile.from_bytes(picture(8, colour) + bytes(700), str(colour)) for colour in range(3)]
    encoded = [len(b"".join(cache.load(image))) for image in images[:2]]
    assert sum(encoded) <= 4000
    assert max(encoded) < 3000
    cache = body.Base64Cache(limit=sum(encoded))
    cache.load(images[0])
    cache.load(images[1])
    assert cache.get(images[0].header.sha256) is not None
    cache.load(images[2])
    assert cache.get(images[1].header.sha256) is None
    assert cache.get(images[0].header.sha256) is not None


async def test_a_large_body_is_streamed_with_its_exact_length(
    server: Server, engine: OpenAIEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_RAW_CHUNK", 3 * 2**16)
    images = [ImageFile.from_bytes(large(bytes(extra)), f"{extra}") for extra in range(3)]
    text = "ä€𝄞" * 400_000
    await engine.generate(ask(*images, text))
    assert server.headers[-1]["Content-Length"] == str(len(server.bodies[-1]))
    assert "Transfer-Encoding" not in server.headers[-1]
    content = server.last["messages"][0]["content"]
    assert [sent_image(part) for part in content[:3]] == [image.read() for image in images]
    assert content[3]["text"] == text


async def test_many_large_bodies_at_once_arrive_whole_with_a_cache_too_small_for_them(
    server: Server, engine: OpenAIEngine
) -> None:
    assert engine._bodies is not None
    engine._bodies._cache = body.Base64Cache(limit=5_000_000)
    files = [large(bytes([index])) for index in range(8)]
    await asyncio.gather(*(engine.generate(ask(ImageFile.from_bytes(data, "x"))) for data in files))
    arrived = {
        hashlib.sha256(sent_image(json.loads(raw)["messages"][0]["content"][0])).hexdigest() for raw in server.bodies
    }
    assert arrived == {hashlib.sha256(data).hexdigest() for data in files}


async def test_text_that_looks_like_a_marker_stays_text(server: Server, engine: OpenAIEngine) -> None:
    first = chat.encode(ask("x"), "m", chat.Dialect())[1].decode()
    image = ImageFile.from_bytes(picture())
    await engine.generate(ask("see ", image, f"{first} <image> {{}} data:image/jpeg;base64, \\u0000"))
    part = server.last["messages"][0]["content"][2]["text"]
    assert part == f"{first} <image> {{}} data:image/jpeg;base64, \\u0000"
    markers = {chat.encode(ask("x"), "m", chat.Dialect())[1] for _ in range(50)}
    assert len(markers) == 50
    assert all(len(marker) == 32 for marker in markers)


async def test_tool_messages_carry_ids_and_images_and_assistant_turns_stay_text(
    server: Server, engine: OpenAIEngine
) -> None:
    call = '<tool_call>\n{"name": "zoom", "arguments": {}}\n</tool_call>'
    messages = (
        Message("system", ("be brief",)),
        Message("user", ("look",)),
        Message("assistant", (call,)),
        Message("tool", ("crop: ", ImageFile.from_bytes(picture()))),
        Message("assistant", (call,)),
        Message("tool", ("nothing there",)),
    )
    await engine.generate(ask(messages=messages))
    sent = server.last["messages"]
    assert [message["role"] for message in sent] == [message.role for message in messages]
    assert sent[2] == {"role": "assistant", "content": call}
    assert sent[3]["tool_call_id"] == "call_1"
    assert sent[5]["tool_call_id"] == "call_2"
    assert [part["type"] for part in sent[3]["content"]] == ["text", "image_url"]
    assert sent[5]["content"] == "nothing there"


@pytest.mark.parametrize(("owner", "choice"), [("vllm", "none"), ("openai", "auto")])
async def test_tools_are_declared_and_vllm_is_asked_to_leave_calls_as_text(
    server: Server, owner: str, choice: str
) -> None:
    server.card = {"id": "m", "owned_by": owner}
    engine = OpenAIEngine(base_url=server.url)
    await engine.start()
    tool = {"type": "function", "function": {"name": "zoom", "parameters": {}}}
    await engine.generate(ask("hi", tools=(tool,)))
    assert server.last["tools"] == [tool]
    assert server.last["tool_choice"] == choice
    await engine.close()


@pytest.mark.parametrize(
    ("card", "fields"),
    [
        ({"id": "m", "owned_by": "vllm", "max_model_len": 9}, {"include_stop_str_in_output"}),
        ({"id": "m", "owned_by": "sglang"}, {"include_stop_str_in_output", "no_stop_trim"}),
        ({"id": "m", "max_model_len": 9}, {"include_stop_str_in_output"}),
        ({"id": "m", "owned_by": "openai"}, set()),
    ],
)
async def test_only_servers_that_know_it_are_asked_to_return_the_stop_string(
    server: Server, card: dict[str, Any], fields: set[str]
) -> None:
    server.card = card
    engine = OpenAIEngine(base_url=server.url)
    await engine.start()
    await engine.generate(ask("hi", stop=("</a>",)))
    assert {"include_stop_str_in_output", "no_stop_trim"} & set(server.last) == fields
    await engine.close()


STOP = ("</tool_call>",)


@pytest.mark.parametrize(
    ("reply", "stop", "text"),
    [
        (said("<tool_call>{}</tool_call>"), STOP, "<tool_call>{}</tool_call>"),
        (said("<tool_call>{}</tool_call> and on"), STOP, "<tool_call>{}</tool_call>"),
        (said("<tool_call>{}"), STOP, "<tool_call>{}</tool_call>"),
        (said("<tool_call>{}", finish="length"), STOP, "<tool_call>{}"),
        (said("no call"), STOP, "no call"),
        (said("a", stop_reason="</b>"), ("</a>", "</b>"), "a</b>"),
        (said("a", matched_stop="END"), ("END",), "aEND"),
        (said("a", stop_reason=151645), ("END",), "a"),
        (said("<a>x"), ("</a>", "</b>"), "<a>x"),
    ],
)
async def test_a_text_ends_with_the_stop_string_that_ended_it(
    server: Server, engine: OpenAIEngine, reply: Any, stop: tuple[str, ...], text: str
) -> None:
    server.reply = lambda body: reply
    assert (await engine.generate(ask("hi", stop=stop))).text == text


def native(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (said(None), ""),
        (said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab"),
        (said(None, refusal="I cannot"), "I cannot"),
        (said("42", reasoning_content="so"), "<think>so</think>\n42"),
        (said("42", reasoning="so"), "<think>so</think>\n42"),
        (said(None, reasoning="so far", finish="length"), "<think>so far"),
        (
            said("Look.", finish="tool_calls", tool_calls=[native("zoom", '{"x": 1}')]),
            'Look.\n<tool_call>\n{"name": "zoom", "arguments": {"x": 1}}\n</tool_call>',
        ),
        (
            said(None, tool_calls=[native("a", {"ä": 1}), native("b", "")]),
            '<tool_call>\n{"name": "a", "arguments": {"ä":1}}\n</tool_call>\n'
            '<tool_call>\n{"name": "b", "arguments": {}}\n</tool_call>',
        ),
        (
            said(None, tool_calls=[native("a", '{"x": ')]),
            '<tool_call>\n{"name": "a", "arguments": {"x":}\n</tool_call>',
        ),
    ],
)
async def test_every_form_of_reply_becomes_one_form_of_text(
    server: Server, engine: OpenAIEngine, reply: Any, text: str
) -> None:
    server.reply = lambda body: reply
    assert (await engine.generate(ask("hi"))).text == text


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "7"}, [], "gone"])
async def test_missing_or_odd_usage_is_unknown_not_zero(server: Server, engine: OpenAIEngine, usage: Any) -> None:
    server.reply = lambda body: {**said("x"), "usage": usage}
    got = (await engine.generate(ask("hi"))).usage
    assert (got.prompt_tokens, got.completion_tokens, got.image_tokens) == (None, None, None)


async def test_what_start_tells_of_the_server(server: Server) -> None:
    server.card = {"id": "only", "owned_by": "vllm", "max_model_len": 4096}
    engine = OpenAIEngine(base_url=server.url + "/")
    assert await engine.start() == {
        "kind": "openai",
        "base_url": server.url,
        "model": "only",
        "identity": "only",
        "max_model_len": 4096,
        "media": "data",
        "server": "fake/1",
    }
    await engine.close()


async def test_weights_behind_a_served_name_are_told_apart(server: Server) -> None:
    server.card = {"id": "only", "root": "/models/step-200"}
    engine = OpenAIEngine(base_url=server.url)
    assert (await engine.start())["identity"] == "only (/models/step-200)"
    await engine.close()


def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(EvalkitError, match="takes the name") as caught:
        OpenAIEngine(base_url="http://localhost/v1", api_key_env="sk-secret-123")
    assert "sk-secret" not in str(caught.value)


async def test_credentials_in_the_url_are_used_and_shown_nowhere(server: Server) -> None:
    engine = OpenAIEngine(base_url=server.url.replace("http://", "http://ann:open%20sesame@"))
    told = await engine.start()
    assert server.headers[-1]["Authorization"] == "Basic " + base64.b64encode(b"ann:open sesame").decode()
    assert told["base_url"] == server.url
    assert "sesame" not in f"{told}{engine!r}{vars(engine)}"
    await engine.close()


async def test_the_key_is_sent_and_leaks_nowhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server.reply = lambda body: said(f"your key is {KEY}")
    engine = OpenAIEngine(base_url=server.url, api_key_env="MY_KEY")
    told = await engine.start()
    completion = await engine.generate(ask("hi"))
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert completion.text == "your key is [redacted]"
    assert KEY not in f"{told}{engine!r}{vars(engine)}"
    await engine.close()


async def test_a_stand_in_for_a_key_does_not_change_what_the_model_said(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-needed")
    server.reply = lambda body: said("a coat is not-needed")
    engine = OpenAIEngine(base_url=server.url)
    await engine.start()
    assert (await engine.generate(ask("hi"))).text == "a coat is not-needed"
    await engine.close()


async def test_a_key_that_no_header_can_carry_is_named_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a\nb")
    with pytest.raises(EvalkitError, match="OPENAI_API_KEY") as caught:
        await OpenAIEngine(base_url=server.url).start()
    assert "sk-a" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://h/v1", "http://", "http://[::1", "http://u:hunter22@h/v1?k=1", "x:hunter22@h"]
)
async def test_a_wrong_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(EvalkitError, match="base_url") as caught:
        await OpenAIEngine(base_url=url, model="m").start()
    assert "\n" not in str(caught.value)
    assert "hunter22" not in str(caught.value)


async def test_a_model_that_is_not_served_is_answered_with_the_nearest(server: Server) -> None:
    server.card = {"id": "qwen3-vl-8b"}
    with pytest.raises(EvalkitError, match="nearest: qwen3-vl-8b"):
        await OpenAIEngine(base_url=server.url, model="qwen3-vl-9b").start()


async def test_a_request_waits_outside_its_time_limit_for_a_connection(server: Server) -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.15)
        return said("done")

    server.reply = lambda body: slow()
    engine = OpenAIEngine(base_url=server.url, connections=1, timeout_s=0.4, attempts=1)
    await engine.start()
    done = await asyncio.gather(*(engine.generate(ask("hi")) for _ in range(4)))
    assert [completion.text for completion in done] == ["done"] * 4
    await engine.close()


async def test_a_cancelled_request_frees_its_place_and_the_engine_goes_on(server: Server) -> None:
    async def never() -> Any:
        await asyncio.sleep(60)

    engine = OpenAIEngine(base_url=server.url, connections=1)
    await engine.start()
    server.reply = lambda body: never()
    for image in (ImageFile.from_bytes(large()), ImageFile.from_bytes(picture())):
        task = asyncio.create_task(engine.generate(ask(image, "hi")))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    server.reply = lambda body: said("still here")
    assert (await engine.generate(ask("hi"))).text == "still here"
    await engine.close()


@pytest.mark.parametrize("size", ["small", "large"])
async def test_an_image_that_is_gone_is_a_data_error_not_a_server_fault(
    server: Server, engine: OpenAIEngine, tmp_path: Path, size: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture() if size == "small" else large())
    image = ImageFile.from_path(path)
    assert image.header.size
    path.unlink()
    with pytest.raises(DataError, match="cannot read image"):
        await engine.generate(ask(image))
    assert server.bodies == []


async def test_an_image_that_changed_is_a_data_error(engine: OpenAIEngine, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(large())
    image = ImageFile.from_path(path)
    assert image.header.size
    path.write_bytes(large(b"more"))
    with pytest.raises(DataError, match="changed"):
        await engine.generate(ask(image))


async def test_text_that_json_cannot_carry_fails_its_own_request_only(engine: OpenAIEngine) -> None:
    with pytest.raises(EngineError, match="surrogates"):
        await engine.generate(ask("\ud800"))
    assert (await engine.generate(ask("hi"))).text == "hello"


async def test_close_may_be_called_twice_and_before_start(server: Server) -> None:
    engine = OpenAIEngine(base_url=server.url)
    await engine.close()
    await engine.start()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await engine.generate(ask("hi"))
    await engine.start()
    assert isinstance(await engine.generate(ask("hi")), Completion)
    await engine.close()


async def test_a_card_may_say_where_its_model_is_served(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(model="m", base_url_env="AUTHORS_URL", api_key_env="AUTHORS_KEY")
    card = ModelCard(name="theirs", engine="openai", served=served)
    with pytest.raises(EvalkitError, match="or the environment variable AUTHORS_URL"):
        make_engine(card, EngineSettings())
    monkeypatch.setenv("AUTHORS_URL", server.url)
    monkeypatch.setenv("AUTHORS_KEY", KEY)
    engine = make_engine(card, EngineSettings())
    told = await engine.start()
    assert (told["model"], server.headers[-1]["Authorization"]) == ("m", f"Bearer {KEY}")
    await engine.close()
    monkeypatch.setenv("MY_KEY", "mine-0123456789")
    engine = make_engine(card, EngineSettings(base_url=f"{server.url}, {server.url}/", api_key_env="MY_KEY"))
    await engine.start()
    assert server.headers[-1]["Authorization"] == "Bearer mine-0123456789"
    await engine.close()


def test_importing_the_engines_loads_nothing_heavy() -> None:
    code = (
        "import sys, evalkit.engines, evalkit.engines.openai;"
        "print([m for m in ('aiohttp', 'torch', 'PIL.Image', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
