"""Images by reference: found out by trying, spared where they can be, sent again where they are lacking."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.engines.base import Message
from evalkit.engines.openai import OpenAIEngine, media
from evalkit.errors import ContextLengthError, EngineError
from evalkit.images import ImageFile
from tests.engines.openai_server import Server, ask, picture, said, serving

MISS = "Cache miss for image at index 0 but data is not provided."


class Holding(Server):
    """Keeps images under their ids, as vLLM does; `allowed` is the folder from which it reads files itself.

    An image counts 10 tokens in the prompt, a word 1.
    """

    def __init__(self, allowed: Path | None = None) -> None:
        super().__init__()
        self.held: dict[str, bytes] = {}
        self.shown: list[list[bytes]] = []
        self.allowed = allowed
        self.reply = self.look

    def look(self, body: dict[str, Any]) -> Any:
        seen: list[bytes] = []
        words = 0
        for message in body["messages"]:
            parts = message["content"]
            for part in [{"type": "text"}] if isinstance(parts, str) else parts:
                if part["type"] == "text":
                    words += 1
                    continue
                image = self.image(part)
                if isinstance(image, web.Response):
                    return image
                seen.append(image)
        self.shown.append(seen)
        reply = said("seen")
        reply["usage"]["prompt_tokens"] = words + 10 * len(seen)
        return reply

    def image(self, part: dict[str, Any]) -> bytes | web.Response:
        id = part.get("uuid")
        if part["image_url"] is None:
            return self.held.get(id) or refused(400, MISS)
        url = part["image_url"]["url"]
        if url.startswith("file://"):
            path = Path(urllib.parse.unquote(url.removeprefix("file://")))
            if self.allowed is None:
                return refused(400, "Cannot load local files without `--allowed-local-media-path`.")
            if self.allowed not in path.resolve().parents:
                return refused(400, f"The file path {path} must be a subpath of `--allowed-local-media-path <path>`.")
            if not path.exists():
                return refused(500, "[Errno 2] No such file or directory: '<path>'")
            data = path.read_bytes()
        else:
            data = base64.b64decode(url.partition(",")[2])
        if id is not None:
            self.held[id] = data
        return data


def refused(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
async def holding() -> AsyncIterator[Holding]:
    async with serving(Holding()) as server:
        assert isinstance(server, Holding)
        yield server


async def started(server: Server, **more: Any) -> tuple[OpenAIEngine, dict[str, Any]]:
    engine = OpenAIEngine(base_url=server.url, backoff_s=0.001, **more)
    told = await engine.start()
    server.bodies.clear()
    return engine, told


def image(colour: int, name: str = "x") -> ImageFile:
    return ImageFile.from_bytes(picture(8, colour), name)


def forms(raw: bytes) -> list[str]:
    """How each image of a request was sent."""
    found = []
    for message in json.loads(raw)["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "image_url":
                url = (part["image_url"] or {"url": "id:"})["url"]
                found.append(url.partition(":")[0] + ("+id" if part.get("uuid") and url != "id:" else ""))
    return found


async def test_an_image_is_sent_once_and_then_named(holding: Holding) -> None:
    engine, told = await started(holding)
    assert told["media"] == "id"
    scene, crop = image(1), image(2)
    first = Message("user", (scene, "what is it?"))
    await engine.generate(ask(messages=(first,)))
    turns = (first, Message("assistant", ("look",)), Message("user", ("here", crop)))
    await engine.generate(ask(messages=turns))
    await engine.generate(ask(messages=(*turns, Message("assistant", ("hm",)), Message("user", ("well?",)))))
    assert [forms(raw) for raw in holding.bodies] == [["data+id"], ["id", "data+id"], ["id", "id"]]
    assert holding.shown[-3:] == [[scene.read()], [scene.read(), crop.read()], [scene.read(), crop.read()]]
    assert engine.facts()[0]["media"] == {"kind": "id", "known": 3, "unknown": 0}
    await engine.close()


async def test_two_turns_on_a_large_image_send_its_base64_once(holding: Holding) -> None:
    data = picture()
    comment = b"".join(b"\xff\xfe\xff\xff" + os.urandom(0xFFFD) for _ in range(60))
    scene = ImageFile.from_bytes(data[:2] + comment + data[2:], "large")
    engine, _ = await started(holding)
    first = Message("user", (scene, "what is it?"))
    await engine.generate(ask(messages=(first,)))
    await engine.generate(ask(messages=(first, Message("assistant", ("look",)), Message("user", (image(3), "so?")))))
    sent = sum(map(len, holding.bodies))
    assert sent <= 1.05 * ((scene.header.size + 2) // 3 * 4)
    assert engine.facts()[0]["sent_mb"] == pytest.approx(sent / 1e6, abs=0.001)
    assert holding.shown[-1][0] == scene.read()
    await engine.close()


async def test_an_image_that_the_server_has_dropped_is_sent_again_within_the_same_try(holding: Holding) -> None:
    engine, _ = await started(holding)
    for _ in range(3):
        completion = await engine.generate(ask(image(1), image(2), "hi"))
        assert (completion.text, completion.retries) == ("seen", 0)
        holding.held.pop(image(2).header.sha256)
    assert [forms(raw) for raw in holding.bodies] == [
        ["data+id"] * 2,
        ["id"] * 2,
        ["data+id"] * 2,
        ["id"] * 2,
        ["data+id"] * 2,
    ]
    assert engine.facts()[0]["media"] == {"kind": "id", "known": 0, "unknown": 4}
    await engine.close()


async def test_ids_are_given_up_where_the_server_hardly_ever_knows_them(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_TRIAL", 3)
    engine, _ = await started(holding)
    for _ in range(6):
        await engine.generate(ask(image(1), "hi"))
        holding.held.clear()
    assert [forms(raw) for raw in holding.bodies][-2:] == [["data"], ["data"]]
    assert engine.facts()[0]["media"] == {"kind": "data", "known": 0, "unknown": 3}
    await engine.close()


async def test_a_request_refused_for_another_reason_keeps_its_own_error(holding: Holding) -> None:
    engine, _ = await started(holding)
    await engine.generate(ask(image(1), "hi"))
    holding.reply = lambda body: refused(400, "the image is too narrow")
    with pytest.raises(EngineError, match="too narrow"):
        await engine.generate(ask(image(1), "hi"))
    assert [forms(raw) for raw in holding.bodies[1:]] == [["id"], ["data+id"]]
    holding.bodies.clear()
    holding.reply = lambda body: refused(400, "This model's maximum context length is 9 tokens")
    with pytest.raises(ContextLengthError):
        await engine.generate(ask(image(1), "hi"))
    assert len(holding.bodies) == 1
    holding.reply = holding.look
    assert (await engine.generate(ask(image(1), "hi"))).text == "seen"
    assert engine.facts()[0]["media"]["unknown"] == 0, "a refusal of the whole request is no miss"
    await engine.close()


async def test_requests_at_the_same_time_all_see_their_images(holding: Holding) -> None:
    engine, _ = await started(holding, connections=4)
    wanted = [image(colour % 5) for colour in range(40)]
    await asyncio.gather(*(engine.generate(ask(picture, str(at))) for at, picture in enumerate(wanted)))
    shown = [seen for (seen,) in holding.shown[-40:]]
    assert sorted(shown) == sorted(picture.read() for picture in wanted)
    assert {form for raw in holding.bodies for form in forms(raw)} == {"data+id", "id"}
    await engine.close()


def deaf(body: dict[str, Any]) -> Any:
    """Ignores all that it does not know, images among it."""
    return said("hello")


def null_is_skipped(body: dict[str, Any]) -> Any:
    """Sees images that are there, and answers without those that are not."""
    parts = body["messages"][0]["content"]
    reply = said("hello")
    reply["usage"]["prompt_tokens"] = 1 + 10 * sum(bool(part.get("image_url")) for part in parts)
    return reply


def no_usage(body: dict[str, Any]) -> Any:
    return {**said("hello"), "usage": None}


def strict(body: dict[str, Any]) -> Any:
    return refused(422, "Extra inputs are not permitted")


def text_only(body: dict[str, Any]) -> Any:
    return refused(400, "m is not a multimodal model")


def null_is_an_error(body: dict[str, Any]) -> Any:
    if all(part.get("image_url") for part in body["messages"][0]["content"] if part["type"] == "image_url"):
        return said("hello")
    return refused(400, "image_url must be an object")


def garbage(body: dict[str, Any]) -> Any:
    return web.Response(body=b"<html>", content_type="text/html")


@pytest.mark.parametrize("reply", [deaf, null_is_skipped, no_usage, strict, text_only, null_is_an_error, garbage])
async def test_a_server_that_keeps_no_images_is_sent_them_every_time(server: Server, reply: Any) -> None:
    server.reply = reply
    engine, told = await started(server)
    assert told["media"] == "data"
    server.reply = lambda body: said("hello")
    for _ in range(2):
        await engine.generate(ask(image(1), "hi"))
    assert [forms(raw) for raw in server.bodies] == [["data"], ["data"]]
    await engine.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def test_what_is_tried_at_the_start_is_tiny(holding: Holding) -> None:
    engine = OpenAIEngine(base_url=holding.url)
    await engine.start()
    assert len(holding.bodies) == 4
    assert sum(map(len, holding.bodies)) < 4000
    assert all(json.loads(raw)["max_tokens"] == 1 for raw in holding.bodies)
    await engine.close()


async def test_files_in_a_folder_that_the_server_reads_go_as_their_path(tmp_path: Path) -> None:
    folder = tmp_path / "some images"
    folder.mkdir()
    paths = [folder / f"ä {at}.jpg" for at in range(2)]
    for at, path in enumerate(paths):
        path.write_bytes(picture(8, at))
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(picture(8, 9))
    async with serving(Holding(allowed=folder)) as server:
        assert isinstance(server, Holding)
        engine, told = await started(server)
        assert told["media"] == "id+file"
        for path in (*paths, paths[0], outside):
            await engine.generate(ask(ImageFile.from_path(path), "hi"))
            assert server.shown[-1] == [path.read_bytes()]
        asked = [forms(raw) for raw in server.bodies if b'"max_tokens":1,' not in raw]
        assert asked == [["file+id"], ["file+id"], ["id"], ["data+id"]]
        await engine.close()
    assert sorted(os.listdir(folder)) == ["ä 0.jpg", "ä 1.jpg"], "the proof has left nothing"
    assert sorted(os.listdir(tmp_path)) == ["outside.jpg", "some images"]


async def test_a_server_with_other_files_under_the_same_paths_is_sent_the_data(tmp_path: Path) -> None:
    """As behind a tunnel or in a container: it reads the folder, but not this machine's."""

    class Elsewhere(Holding):
        def image(self, part: dict[str, Any]) -> bytes | web.Response:
            if part["image_url"] is not None and ".evalkit-" in part["image_url"]["url"]:
                return refused(500, "[Errno 2] No such file or directory: '<path>'")
            return super().image(part)

    path = tmp_path / "a.jpg"
    path.write_bytes(picture())
    async with serving(Elsewhere(allowed=tmp_path)) as server:
        engine, told = await started(server)
        assert told["media"] == "id+file"
        await engine.generate(ask(ImageFile.from_path(path), "hi"))
        assert forms(server.bodies[-1]) == ["data+id"]
        await engine.close()


async def test_a_file_that_changed_or_went_is_not_named_any_more(tmp_path: Path) -> None:
    paths = [tmp_path / f"{at}.jpg" for at in range(2)]
    for at, path in enumerate(paths):
        path.write_bytes(picture(8, at))
    images = [ImageFile.from_path(path) for path in paths]
    before = images[1].read()
    async with serving(Holding(allowed=tmp_path)) as server:
        assert isinstance(server, Holding)
        engine, _ = await started(server)
        await engine.generate(ask(images[0], "hi"))
        assert forms(server.bodies[-1]) == ["file+id"]
        held = ImageFile.from_bytes(before, "kept")
        held.path = paths[1]
        assert held.header.size
        paths[1].write_bytes(before + b"more")
        await engine.generate(ask(held, "hi"))
        assert forms(server.bodies[-1]) == ["data+id"]
        assert server.shown[-1] == [before]
        await engine.close()
