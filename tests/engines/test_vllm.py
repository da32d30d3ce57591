"""The vLLM engine around a stand-in for the library: what it sends, what it returns, what it survives.

The library itself is run by tests/e2e/test_vllm_in_process.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from evalkit.engines.base import Engine, Message, Request, Sampling
from evalkit.engines.pixels import PixelBudget, Seen
from evalkit.engines.vllm import VllmEngine, engine, loading, log
from evalkit.engines.vllm.outputs import completion_of, seen_in, stray_placeholders, timing_of
from evalkit.engines.vllm.prompts import conversation, sampling_parameters, template_arguments
from evalkit.errors import ContextLengthError, DataError, EngineError, EngineUnavailableError, EvalkitError
from evalkit.images import ImageFile
from evalkit.models.card import ModelCard, Weights, load_card
from evalkit.records import Timing, Usage
from evalkit.runs.setup import EngineSettings, make_engine, missing_for

PLACEHOLDER = 9
LIMIT = 64
BUDGET = PixelBudget(factor=32, min_pixels=32 * 32, max_pixels=96 * 96)


def picture(width: int = 96, height: int = 64, name: str = "picture") -> ImageFile:
    return ImageFile.from_pil(Image.new("RGB", (width, height), (width % 256, height % 256, 0)), name)


def request(*parts: Any, **options: Any) -> Request:
    return Request(**{"messages": (Message("user", parts),), "sampling": Sampling(), "max_tokens": 12, **options})


class DeadError(Exception):
    """The library's word for a dead engine."""


class RefusedError(Exception):
    """The library's word for a request that it does not take."""


class Place:
    def __init__(self, offset: int, length: int) -> None:
        self.offset, self.length = offset, length

    def get_num_embeds(self) -> int:
        return self.length


class Grid:
    """A tensor of three numbers, as far as it is looked at."""

    def __init__(self, *values: int) -> None:
        self.values = values
        self.data = self

    def flatten(self) -> Grid:
        return self

    def tolist(self) -> list[int]:
        return list(self.values)


def output(text: str = "fine", reason: str = "stop", prompt: int = 5, **more: Any) -> SimpleNamespace:
    first = SimpleNamespace(text=text, finish_reason=reason, token_ids=[1] * len(text))
    metrics = SimpleNamespace(scheduled_ts=time.monotonic(), first_token_ts=time.monotonic(), last_token_ts=0.0)
    return SimpleNamespace(**{"outputs": [first], "prompt_token_ids": [1] * prompt, "metrics": metrics, **more})


class Library:
    """Stands in for `AsyncLLM` and its renderer; a token a character, six tokens an image of 96 x 64."""

    def __init__(self) -> None:
        self.renderer = self
        self.errored = False
        self.cache: set[str] = set()
        self.sent: list[list[str]] = []
        self.rendered: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.aborted: list[str] = []
        self.answers: list[Any] = []
        self.stopped = 0
        self.process = SimpleNamespace(exitcode=None, join=lambda timeout=None: None, kill=lambda: None)

    async def render_chat_async(self, conversations: list[Any], chat: Any, tokens: Any) -> tuple[Any, list[Any]]:
        await asyncio.sleep(0)
        (messages,) = conversations
        self.rendered.append((messages, chat))
        ids: list[int] = []
        places, kwargs, sent = [], [], []
        for message in messages:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                if part["type"] == "text":
                    if "broken template" in part["text"]:
                        raise ValueError("wrapped") from RuntimeError("the template fails")
                    ids += [PLACEHOLDER if c == "#" else 1 for c in part["text"]]
                    continue
                known = part["uuid"] in self.cache
                if part["image_pil"] is None and not known:
                    raise ValueError("Cache miss for image at index 0 but data is not provided.")
                if part["image_pil"] is not None:
                    sent.append(part["uuid"])
                    if part["image_pil"].width > 1000:
                        raise ValueError("absolute aspect ratio must be smaller than 200")
                self.cache.add(part["uuid"])
                places.append(Place(len(ids), 6))
                kwargs.append(None if known else {"image_grid_thw": Grid(1, 4, 6)})
                ids += [PLACEHOLDER] * 6
        self.sent.append(sent)
        return None, [{"prompt_token_ids": ids, "mm_placeholders": {"image": places}, "mm_kwargs": {"image": kwargs}}]

    async def generate(self, prompt: Any, parameters: dict[str, Any], id: str) -> AsyncIterator[Any]:
        self.asked.append(parameters)
        answer = self.answers.pop(0) if self.answers else output(prompt=len(prompt["prompt_token_ids"]))
        try:
            if answer == "wait":
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.aborted.append(id)
            raise
        if isinstance(answer, Exception):
            raise answer
        yield answer

    def shutdown(self, timeout: float) -> None:
        self.stopped += 1
        self.process.exitcode = 0


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
async def started(library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[VllmEngine]:
    """An engine whose library is the stand-in."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def load(arguments: dict[str, Any], low: int | None, high: int | None, folder: Path) -> loading.Loaded:
        return loading.Loaded(
            engine=library,
            processes=[library.process],
            budget=BUDGET,
            image_token=PLACEHOLDER,
            limit=LIMIT,
            sampling=lambda values: values,
            chat=lambda values: (values, None),
            dead=DeadError,
            refused=RefusedError,
            versions={"vllm": "0"},
            device="cpu",
            dtype="float32",
            commit="",
        )

    monkeypatch.setattr(engine, "load", load)
    monkeypatch.setattr(engine, "import_library", lambda folder: None)
    monkeypatch.setattr(engine, "platform", lambda: "cpu")
    made = VllmEngine(weights="folder")
    facts = await made.start()
    assert facts["pixels"] == {"factor": 32, "min_pixels": 1024, "max_pixels": 9216}
    yield made
    await made.close()


def test_importing_the_engine_loads_no_library() -> None:
    code = "import evalkit.engines.vllm, sys; sys.exit('torch' in sys.modules or 'vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_field_that_changes_a_draw_is_said() -> None:
    greedy = sampling_parameters(request("x"), room=100)
    assert greedy == {
        "n": 1, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0,
        "frequency_penalty": 0.0, "repetition_penalty": 1.0, "seed": None, "stop": None,
        "include_stop_str_in_output": True, "max_tokens": 12, "skip_special_tokens": True,
    }  # fmt: skip
    warm = Sampling(temperature=0.7, top_p=0.8, top_k=20, presence_penalty=1.5, repetition_penalty=1.05, seed=3)
    said = sampling_parameters(request("x", sampling=warm, stop=("</a>",)), room=5)
    assert (said["temperature"], said["top_p"], said["top_k"], said["seed"]) == (0.7, 0.8, 20, 3)
    assert (said["presence_penalty"], said["repetition_penalty"]) == (1.5, 1.05)
    assert (said["stop"], said["max_tokens"]) == (["</a>"], 5)


def test_a_conversation_names_its_images_by_their_content() -> None:
    a, b = picture(10, 10), picture(20, 20)
    messages = (
        Message("user", (a, "look", "")),
        Message("assistant", ("call",)),
        Message("tool", ("seen", b)),
        Message("tool", ("no image",)),
    )
    asked = request(messages=messages, tools=({"type": "function"},))
    first, second = a.header.sha256, b.header.sha256
    assert conversation(asked, {second: "pixels"}) == [
        {
            "role": "user",
            "content": [
                {"type": "image_pil", "image_pil": None, "uuid": first},
                {"type": "text", "text": "look"},
            ],
        },
        {"role": "assistant", "content": "call"},
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "image_pil", "image_pil": "pixels", "uuid": second},
            ],
        },
        {"role": "tool", "tool_call_id": "call_2", "content": "no image"},
    ]
    assert template_arguments(asked)["tools"] == [{"type": "function"}]
    assert "tools" not in template_arguments(request("x"))


def test_the_completion_has_the_text_with_its_stop_string_and_the_engines_counts() -> None:
    seen = (Seen(width=96, height=64, tokens=6), Seen(tokens=3))
    out = output("say </a> more", "stop", prompt=30)
    done = completion_of(out, request("x", stop=("</a>",)), seen, time.monotonic())
    assert (done.text, done.finish_reason) == ("say </a>", "stop")
    assert done.usage == Usage(prompt_tokens=30, completion_tokens=13, image_tokens=9)
    assert done.images == seen
    unknown = completion_of(out, request("x"), (Seen(),), 0.0)
    assert unknown.usage.image_tokens is None
    assert completion_of(out, request("x"), (), 0.0).usage.image_tokens == 0


def test_times_are_the_engines_own() -> None:
    metrics = SimpleNamespace(scheduled_ts=12.0, first_token_ts=12.5, last_token_ts=14.0)
    assert timing_of(metrics, 10.0) == Timing(queue_s=2.0, ttft_s=0.5, decode_s=1.5)
    assert timing_of(SimpleNamespace(scheduled_ts=12.0, first_token_ts=12.5, last_token_ts=0.0), 13.0) == Timing(
        queue_s=0.0, ttft_s=0.5, decode_s=0.0
    )
    for nothing in (None, SimpleNamespace(scheduled_ts=0.0, first_token_ts=0.0, last_token_ts=0.0)):
        assert timing_of(nothing, 10.0) == Timing()


def test_image_sizes_come_from_the_processors_grid() -> None:
    places = [Place(0, 6), Place(6, 6), Place(12, 4)]
    kwargs = [{"image_grid_thw": Grid(1, 4, 6)}, None, {"pixel_values": Grid(1)}]
    prompt = {"mm_placeholders": {"image": places}, "mm_kwargs": {"image": kwargs}}
    assert seen_in(prompt, BUDGET) == [Seen(width=96, height=64, tokens=6), Seen(tokens=6), Seen(tokens=4)]
    assert seen_in(prompt, None)[0] == Seen(tokens=6)
    assert seen_in({"prompt_token_ids": [1]}, BUDGET) == []


def test_a_placeholder_outside_the_images_is_found() -> None:
    prompt = {"prompt_token_ids": [1, 9, 9, 1, 9], "mm_placeholders": {"image": [Place(1, 2)]}}
    assert stray_placeholders(prompt, 9) == 1
    assert stray_placeholders({"prompt_token_ids": [9]}, 9) == 1
    assert stray_placeholders(prompt, None) == 0


async def test_a_second_turn_sends_the_first_turns_image_by_its_name_alone(
    started: VllmEngine, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = ImageFile.open
    monkeypatch.setattr(ImageFile, "open", lambda self: opened.append(self.name) or original(self))
    a, b = picture(96, 64, "a"), picture(96, 65, "b")
    assert isinstance(started, Engine)
    first = await started.generate(request(a, "x"))
    again = await started.generate(request(a, "x", b, "y"))
    assert opened == ["a", "b"]
    assert library.sent == [[a.header.sha256], [b.header.sha256]]
    assert first.images == (Seen(width=96, height=64, tokens=6),)
    assert again.images == (*first.images, Seen(width=96, height=64, tokens=6))
    assert again.usage == Usage(prompt_tokens=14, completion_tokens=4, image_tokens=12)


async def test_an_image_that_has_left_the_librarys_cache_is_sent_again(started: VllmEngine, library: Library) -> None:
    a = picture()
    await started.generate(request(a, "x"))
    library.cache.clear()
    assert (await started.generate(request(a, "x"))).images == (Seen(width=96, height=64, tokens=6),)
    assert library.sent == [[a.header.sha256]] * 2


async def test_a_request_that_fails_for_a_lost_image_is_tried_again_with_its_data(
    started: VllmEngine, library: Library
) -> None:
    a = picture()
    library.answers = [output(), output("", "error"), output("late")]
    await started.generate(request(a, "x"))
    done = await started.generate(request(a, "x"))
    assert (done.text, done.retries) == ("late", 1)
    assert library.sent[-2:] == [[], [a.header.sha256]]
    library.answers = [output("", "error")] * 3
    with pytest.raises(EngineError, match="failed at the request 3 times"):
        await started.generate(request(a, "x"))
    library.answers = [output("", "abort")]
    with pytest.raises(EngineError, match="gave the request up"):
        await started.generate(request(a, "x"))


async def test_bad_images_and_bad_conversations_are_told_apart(started: VllmEngine) -> None:
    broken = ImageFile.from_bytes(picture().read()[:60] + b"IEND\xaeB`\x82", "broken.png")
    outcomes = await asyncio.gather(
        started.generate(request(picture(), picture(2000, 4, "long.png"), "x")),
        started.generate(request(broken, "x")),
        started.generate(request(picture(30, 30), "broken template")),
        started.generate(request(picture(), "a # placeholder")),
        started.generate(request("no image, a # placeholder")),
        started.generate(request("x" * LIMIT)),
        started.generate(request("fine")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes[:6]] == [
        DataError, DataError, EngineError, EngineError, EngineError, ContextLengthError,
    ]  # fmt: skip
    texts = [str(outcome) for outcome in outcomes[:6]]
    assert "refuses image long.png: ValueError: absolute aspect ratio" in texts[0]
    assert "broken.png" in texts[1]
    assert "RuntimeError: the template fails" in texts[2]
    assert "1 image placeholders beside those of its 1 images" in texts[3]
    assert "beside those of its 0 images" in texts[4]
    assert "64 tokens, the model's context 64" in texts[5]
    assert not [text for text in texts if "\n" in text]
    assert outcomes[6].text == "fine"  # type: ignore[union-attr]


async def test_the_answer_is_cut_to_what_the_context_leaves(started: VllmEngine, library: Library) -> None:
    await started.generate(request("x" * (LIMIT - 5), max_tokens=50))
    assert library.asked[-1]["max_tokens"] == 5


async def test_a_refused_request_and_a_failing_one_are_errors_of_their_own(
    started: VllmEngine, library: Library
) -> None:
    library.answers = [RefusedError("too\nlarge"), KeyError("inside"), output()]
    with pytest.raises(EngineError, match="refuses the request: too large"):
        await started.generate(request("x"))
    with pytest.raises(EngineError, match="failed: KeyError"):
        await started.generate(request("x"))
    assert (await started.generate(request("x"))).text == "fine"


async def test_a_cancelled_trajectory_takes_its_request_back(started: VllmEngine, library: Library) -> None:
    library.answers = ["wait"]
    pending = asyncio.create_task(started.generate(request("x")))
    await asyncio.sleep(0.05)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert len(library.aborted) == 1


async def test_a_dead_engine_fails_all_that_wait_and_all_that_come(
    started: VllmEngine, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.answers = ["wait", "wait"]
    pending = [asyncio.create_task(started.generate(request("x"))) for _ in range(2)]
    await asyncio.sleep(0.05)
    folder = started._folder
    assert folder is not None
    (folder / log.ENGINE_FILE).write_text("INFO EngineCore fine\nValueError: out of blocks\nINFO EngineCore bye\n")
    library.process.exitcode = -9
    library.errored = True
    for outcome in await asyncio.gather(*pending, return_exceptions=True):
        assert isinstance(outcome, EngineUnavailableError)
        assert "killed by SIGKILL" in str(outcome)
        assert "its last words: ValueError: out of blocks" in str(outcome)
        assert str(folder) in str(outcome)
    with pytest.raises(EngineUnavailableError, match="out of blocks"):
        await started.generate(request("x"))
    await started.close()
    assert folder.is_dir(), "the log outlives the engine, for whoever has to find out why"


async def test_the_librarys_own_word_of_its_death_is_the_same_error(started: VllmEngine, library: Library) -> None:
    library.answers = [DeadError("see above")]
    library.process.exitcode = 1
    with pytest.raises(EngineUnavailableError, match="exit code 1"):
        await started.generate(request("x"))


async def test_close_fails_what_waits_stops_the_library_and_can_be_repeated(
    started: VllmEngine, library: Library
) -> None:
    library.answers = ["wait"]
    pending = asyncio.create_task(started.generate(request("x")))
    await asyncio.sleep(0.05)
    folder = started._folder
    assert folder is not None
    await started.close()
    await started.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await pending
    with pytest.raises(EngineUnavailableError, match="not started"):
        await started.generate(request("x"))
    assert library.stopped == 1
    assert not folder.exists()


async def test_what_keeps_the_engine_from_starting_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EvalkitError, match="needs vllm: pip install 'evalkit"):
        await VllmEngine(weights="x").start()

    def load(arguments: dict[str, Any], low: int | None, high: int | None, folder: Path) -> loading.Loaded:
        (folder / log.ENGINE_FILE).write_text("ERROR EngineCore EngineCore failed\n  Trace\nValueError: no memory\n")
        raise RuntimeError("see above")

    monkeypatch.setattr(engine, "load", load)
    monkeypatch.setattr(engine, "import_library", lambda folder: None)
    with pytest.raises(EvalkitError) as caught:
        await VllmEngine(weights="the weights").start()
    assert str(caught.value).startswith("vLLM cannot run the weights; its last words: ValueError: no memory; its log: ")
    assert "\n" not in str(caught.value)


def test_what_vllm_reads_from_the_environment_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CONFIGURE_LOGGING", "0")
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
    with loading._environment(tmp_path):
        assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
        assert os.environ["VLLM_CONFIGURE_LOGGING"] == "1"
        assert json.loads(Path(os.environ["VLLM_LOGGING_CONFIG_PATH"]).read_text())["version"] == 1
    assert os.environ["VLLM_CONFIGURE_LOGGING"] == "0"
    assert "VLLM_WORKER_MULTIPROC_METHOD" not in os.environ


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("INFO EngineCore hello\n", ""),
        ("ERROR EngineCore it broke\nINFO EngineCore bye\n", "it broke"),
        ("ERROR EngineCore it broke\nTraceback\ntorch.OutOfMemoryError: CUDA out of memory.\n", "CUDA out of memory."),
        ("ValueError: bad file\nException: it failed. See stack trace for root cause.\n", "ValueError: bad file"),
        ("ERROR EngineCore Worker 0 died unexpectedly (-9)\nRuntimeError: cancelled\n", "Worker 0 died unexpectedly"),
        ("x" * 3_000_000 + "\nKeyError: 'late'\n", "KeyError: 'late'"),
    ],
)
def test_last_words_are_the_reason_and_not_the_last_line(tmp_path: Path, lines: str, words: str) -> None:
    (tmp_path / log.ENGINE_FILE).write_text(lines)
    said = log.last_words(tmp_path)
    assert words in said
    assert bool(said) == bool(words)
    assert log.last_words(tmp_path / "nowhere") == ""


def test_an_end_is_told_in_words() -> None:
    assert log.how_it_ended(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert "memory ran out" in log.how_it_ended(-signal.SIGKILL)
    assert log.how_it_ended(-200) == "killed by signal 200"
    assert (log.how_it_ended(3), log.how_it_ended(None)) == ("exit code 3", "it no longer answers")


CHILDREN = """
import json, logging.config, multiprocessing, os, sys, time
from pathlib import Path
from evalkit.engines.vllm.log import write_config

def work(config, report):
    logging.config.dictConfig(config)
    logging.getLogger("vllm.core").warning("from the child")
    print("printed", flush=True)
    os.write(2, b"written\\n")
    Path(report).write_text(f"{os.getpid()} {os.getpgrp()}")
    time.sleep(600)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config = json.loads(write_config(folder).read_text())
    logging.config.dictConfig(config)
    logging.getLogger("vllm.front").warning("from the parent")
    multiprocessing.get_context("spawn").Process(target=work, args=(config, str(folder / "report"))).start()
    time.sleep(600)
"""


def test_an_engine_process_writes_to_the_log_leaves_the_terminal_and_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    folder = tmp_path / "logs"
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    child = 0
    try:
        wait_for(lambda: (folder / "report").is_file() and bool((folder / "report").read_text()))
        child, group = map(int, (folder / "report").read_text().split())
        assert child == group, "Ctrl-C on the terminal must not reach it"
        text = (folder / log.ENGINE_FILE).read_text()
        assert "WARNING SpawnProcess-1 from the child" in text
        assert {"printed", "written"} <= set(text.splitlines())
        assert "from the parent" in (folder / log.FRONT_FILE).read_text()
        parent.kill()
        assert parent.communicate()[0] == b""
        wait_for(lambda: not alive(child))
    finally:
        parent.kill()
        parent.wait()
        if child and alive(child):
            os.kill(child, signal.SIGKILL)


def alive(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def wait_for(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_card_tells_how_vllm_loads_it_and_unknown_keys_are_named(tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(
        "name: m\nengine: vllm\nweights: {hub: a/b, dtype: bfloat16}\npixels: {max: 1000}\n"
        "vllm: {tensor_parallel: 2, max_model_len: 9000, memory_share: 0.5}\n"
    )
    card = load_card(file)
    assert (card.vllm.tensor_parallel, card.vllm.max_model_len, card.vllm.memory_share) == (2, 9000, 0.5)
    for wrong, named in (("tensor_paralel: 2", "tensor_paralel"), ("memory_share: 1.5", "vllm.memory_share")):
        file.write_text(f"name: m\nengine: vllm\nvllm: {{{wrong}}}\n")
        with pytest.raises(EvalkitError, match=named):
            load_card(file)


@pytest.mark.parametrize(("inside", "gpus", "chosen"), [(True, 2, "mp"), (True, 1, None), (False, 2, None)])
def test_a_model_on_several_gpus_of_a_ray_actor_asks_ray_for_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inside: bool, gpus: int, chosen: str | None
) -> None:
    class AskedError(Exception):
        pass

    def part(module: str, name: str) -> Any:
        def arguments(**values: Any) -> None:
            raise AskedError(values.get("distributed_executor_backend"))

        return arguments if name == "AsyncEngineArgs" else SimpleNamespace(from_engine_args=None)

    monkeypatch.setattr(loading, "_part", part)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: inside))
    with pytest.raises(AskedError) as asked:
        loading.load(VllmEngine(weights="w", tensor_parallel=gpus)._arguments, None, None, tmp_path)
    assert asked.value.args == (chosen,)


def test_the_engine_gets_what_the_card_says_or_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import evalkit.runs.setup as setup

    card = ModelCard(name="m", engine="vllm", weights=Weights(folder="w", dtype="float32"))
    monkeypatch.setattr(setup, "find_spec", lambda name: None if name == "vllm" else object())
    assert "pip install 'evalkit[vllm]'" in missing_for(card)[0]
    with pytest.raises(EvalkitError, match="vllm is not installed"):
        make_engine(card, EngineSettings())
    monkeypatch.setattr(setup, "find_spec", lambda name: object())
    made = make_engine(card, EngineSettings())
    assert isinstance(made, VllmEngine)
    arguments = made._arguments
    assert (arguments["model"], arguments["dtype"], arguments["enable_prefix_caching"]) == ("w", "float32", True)
    assert "max_model_len" not in arguments, "the model's own"
    assert logging.getLogger("vllm").level == logging.NOTSET
