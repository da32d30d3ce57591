"""The engine for servers against a real one: references to images, streams, a server of its own.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evalkit.engines.base import Completion, Message, Request, Sampling
from evalkit.engines.openai import OpenAIEngine
from evalkit.errors import EngineError, EngineUnavailableError
from evalkit.images import ImageFile
from tests.conftest import Cli
from tests.e2e.serving import MODULE, VARIABLES, VLLM, needs_vllm, served
from tests.tiny_qwen import build

pytestmark = needs_vllm

Server = tuple[str, Path]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A served random model, and the folder that it reads itself. Its cache holds a few dozen images."""
    place = tmp_path_factory.mktemp("served")
    folder = place / "images"
    folder.mkdir()
    options = ("--allowed-local-media-path", str(folder), "--mm-processor-cache-gb", "0.005")
    with served(build(place / "tiny", max_positions=4096), "tiny", place / "vllm.log", *options) as url:
        yield url, folder


@contextlib.asynccontextmanager
async def started(url: str, **more: Any) -> Any:
    engine = OpenAIEngine(base_url=url, **more)
    told = await engine.start()
    try:
        yield engine, told
    finally:
        await engine.close()


def noise(width: int, height: int, seed: int = 0, quality: int = 90) -> bytes:
    import numpy

    pixels = numpy.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=numpy.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def ask(*messages: Message, stop: tuple[str, ...] = (), key: str = "") -> Request:
    return Request(messages=messages, sampling=Sampling(), max_tokens=24, stop=stop, key=key)


def same(a: Completion, b: Completion) -> bool:
    return (a.text, a.finish_reason, a.usage) == (b.text, b.finish_reason, b.usage)


async def test_two_turns_on_an_8k_image_send_it_once_and_the_model_sees_it_twice(server: Server) -> None:
    url, _ = server
    scene = ImageFile.from_bytes(noise(7680, 4320, quality=40), "8k")
    crop = ImageFile.from_bytes(noise(640, 360, 1), "crop")
    async with started(url) as (engine, told), started(url, references=False) as (full, _):
        assert told["media"] == "id+file"
        first = Message("user", (scene, "what is it?"))
        answer = await engine.generate(ask(first))
        second = (first, Message("assistant", (answer.text,)), Message("user", (crop, "and here?")))
        again = await engine.generate(ask(*second))
        base64 = (scene.header.size + 2) // 3 * 4
        sent = engine._replicas[0].sent_bytes
        print(f"8K two turns: {sent} bytes sent, {sent / base64:.4f} of the image's base64")
        assert sent <= 1.05 * base64
        assert same(answer, await full.generate(ask(first)))
        assert same(again, await full.generate(ask(*second)))
        assert full._replicas[0].sent_bytes > 1.9 * base64
        other = Message("user", (ImageFile.from_bytes(noise(7680, 4320, 2, 10), "other"), "what is it?"))
        assert (await engine.generate(ask(other))).text != answer.text, "the model would not notice another image"


async def test_images_that_the_server_dropped_are_sent_again(server: Server) -> None:
    url, _ = server
    async with started(url) as (engine, _), started(url, references=False) as (full, _):
        images = [ImageFile.from_bytes(noise(96, 96, seed), str(seed)) for seed in range(150)]
        for image in images:
            await engine.generate(ask(Message("user", (image, "."))))
        for image in (images[0], images[1], images[149]):
            request = ask(Message("user", (image, "what is it?")))
            assert same(await engine.generate(request), await full.generate(request))
        media = engine.facts()[0]["media"]
        print(f"references known and unknown after eviction: {media}")
        assert media["unknown"] == 2
        assert media["known"] == 1


async def test_files_in_the_servers_folder_go_as_their_path(server: Server) -> None:
    url, folder = server
    path = folder / "a scene.jpg"
    path.write_bytes(noise(1200, 900))
    outside = folder.parent / "outside.jpg"
    outside.write_bytes(noise(1200, 900, 1))
    async with started(url) as (engine, _), started(url, references=False) as (full, _):
        for file, most in ((path, 2_000), (outside, 10_000_000)):
            before = engine._replicas[0].sent_bytes
            request = ask(Message("user", (ImageFile.from_path(file), "what is it?")))
            assert same(await engine.generate(request), await full.generate(request))
            assert engine._replicas[0].sent_bytes - before < most
    assert os.listdir(folder) == ["a scene.jpg"]


async def test_streams_give_the_same_and_the_times(server: Server) -> None:
    url, _ = server
    decoding = 0.0
    async with started(url, stream=True) as (streaming, _), started(url) as (whole, _):
        for seed in range(6):
            image = ImageFile.from_bytes(noise(100 + seed, 80, seed), str(seed))
            for stop in ((), ("e", "1", "}")):
                request = ask(Message("user", (image, f"question {seed}")), stop=stop)
                a, b = await streaming.generate(request), await whole.generate(request)
                assert same(a, b)
                assert a.usage.prompt_tokens is not None
                assert a.timing.ttft_s is not None
                assert a.timing.decode_s is not None
                assert a.timing.ttft_s > 0
                decoding += a.timing.decode_s
        assert decoding > 0
        assert streaming.facts()[0]["streamed"] is True


async def test_what_the_server_refuses_fails_alone(server: Server) -> None:
    url, _ = server
    async with started(url) as (engine, _):
        narrow = ImageFile.from_bytes(noise(900, 2), "narrow")
        with pytest.raises(EngineError, match="refuses the request") as caught:
            await engine.generate(ask(Message("user", (narrow, "?"))))
        assert not isinstance(caught.value, EngineUnavailableError)
        assert (await engine.generate(ask(Message("user", ("hello",))))).text


async def test_two_addresses_of_one_server_are_two_replicas(server: Server) -> None:
    url, _ = server
    async with started([url, url.replace("127.0.0.1", "localhost")]) as (engine, _):
        for key in "abcd":
            await engine.generate(ask(Message("user", ("hello",)), key=key))
        assert [facts["most_at_once"] for facts in engine.facts()] == [1, 1]


def marked(mark: str) -> list[int]:
    """Processes that run with `mark` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if folder.name.isdigit() and state != "Z" and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def test_metis_nano_on_a_server_of_its_own(tmp_path: Path, cli: Cli) -> None:
    mark = f"EVALKIT_MARK={tmp_path}"
    common = ("--model", "metis-nano", "--tasks", "panel_probe", "--limit", "200", "--dtype", "float32")
    variables = {**VARIABLES, "EVALKIT_VLLM": f"{VLLM} -m {MODULE}", "EVALKIT_MARK": str(tmp_path)}
    own = cli("run", *common, "--serve", "--max-model-len", "4096", "--ttft", "--run-dir", "s", **variables)
    assert own.returncode == 0, own.stdout + own.stderr
    assert not marked(mark)
    local = cli("run", *common, "--run-dir", "t")
    assert local.returncode == 0, local.stdout + local.stderr

    def rows(run: str) -> list[Any]:
        lines = (tmp_path / run / "samples.jsonl").read_text().splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda row: str(row["sample"]["id"]))

    def story(run: str) -> list[list[str]]:
        return [[turn["text"] for turn in row["trajectory"]["turns"]] for row in rows(run)]

    print("same transcripts:", sum(a == b for a, b in zip(story("s"), story("t"), strict=True)), "/ 200")
    assert story("s") == story("t")
    timings = [turn["timing"] for row in rows("s") for turn in row["trajectory"]["turns"]]
    assert all(timing["ttft_s"] > 0 for timing in timings)
    session = json.loads((tmp_path / "s" / "run.json").read_text())["sessions"][-1]
    (facts,) = session["engine"]["servers"]
    calls = sum(len(row["trajectory"]["turns"]) - 1 for row in rows("s"))
    # every second turn names its first image, and so does a first turn on a board that the server has had already
    assert (facts["media"]["kind"], facts["media"]["unknown"]) == ("id", 0)
    assert calls <= facts["media"]["known"] <= calls + 200
    assert facts["streamed"] is True


def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    mark = f"EVALKIT_MARK={tmp_path}"
    variables = {**VARIABLES, "EVALKIT_VLLM": f"{VLLM} -m {MODULE}", "EVALKIT_MARK": str(tmp_path)}
    command = [sys.executable, "-m", "evalkit", "run", "--model", "metis-nano", "--serve", "--tasks", "panel_probe"]
    command += ["--dtype", "float32", "--max-model-len", "4096", "--run-dir", "r"]
    run = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    samples = tmp_path / "r" / "samples.jsonl"
    deadline = time.monotonic() + 300
    while not (samples.exists() and samples.stat().st_size) and time.monotonic() < deadline:
        assert run.poll() is None
        time.sleep(0.2)
    assert len(marked(mark)) >= 4, "evalkit, its watchdog, the server and its engine"
    run.send_signal(signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 60
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not marked(mark)
