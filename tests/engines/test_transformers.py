"""The transformers engine on a tiny random Qwen3-VL: what it sends, what it returns, what it survives."""

import asyncio
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from evalkit.engines.base import Completion, Engine, Message, Request, Sampling
from evalkit.engines.transformers import TransformersEngine
from evalkit.errors import ContextLengthError, DataError, EngineError, EngineUnavailableError, EvalkitError
from evalkit.images import ImageFile

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FRAME = len("<user\n>\n<assistant\n")
"""Tokens that the chat template puts around one user turn; `<` and `>` stand for one token each."""
GREEDY = Sampling()
WARM = Sampling(temperature=1.0, seed=7)
TOOLS = ({"type": "function", "function": {"name": "python", "parameters": {}}},)


def picture(seed: int, width: int = 96, height: int = 96) -> ImageFile:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ImageFile.from_pil(Image.fromarray(pixels), f"picture {seed}")


def request(*parts, sampling: Sampling = GREEDY, max_tokens: int = 12, **options) -> Request:
    return Request(messages=(Message("user", parts),), sampling=sampling, max_tokens=max_tokens, **options)


def various(sampling: Sampling = GREEDY) -> list[Request]:
    """Requests of many lengths, with none, one or several images, one and more turns."""
    a, b = picture(1), picture(2, 64, 128)
    conversation = (
        Message("system", ("Be brief.",)),
        Message("user", (a, "what is this?")),
        Message("assistant", ("<tool_call>zoom</tool_call>",)),
        Message("tool", (b, "zoomed")),
    )
    return [
        request(a, "one image", sampling=sampling),
        request("no image", sampling=sampling, max_tokens=5),
        request(a, "first", b, "second, and a longer question than the others have", sampling=sampling),
        request("text alone, rather long, " * 3, sampling=sampling),
        Request(messages=conversation, sampling=sampling, max_tokens=9),
        request(picture(3, 300, 40), "wide", sampling=sampling),
    ]


@pytest.fixture
async def start(tiny_qwen):
    """Starts engines that are closed at the end."""
    engines = []

    async def make(**options) -> TransformersEngine:
        engine = TransformersEngine(**{"weights": str(tiny_qwen), "dtype": "float32", "device": "cpu", **options})
        engine.facts = await engine.start()
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.close()


async def together(engine: TransformersEngine, requests: list[Request]) -> list[Completion]:
    return await asyncio.gather(*map(engine.generate, requests))


def reference(folder, asked: Request) -> str:
    """Greedy text by whole forward passes without cache, batch or `generate`; one user turn."""
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    images = transformers.AutoImageProcessor.from_pretrained(folder)
    prompt, grids, pixels = "<|im_start|>user\n", [], []
    for part in asked.messages[0].parts:
        if isinstance(part, str):
            prompt += part
            continue
        inputs = images(images=[part.open()], return_tensors="pt")
        grids.append(inputs["image_grid_thw"])
        pixels.append(inputs["pixel_values"])
        prompt += "<|vision_start|>" + "<|image_pad|>" * (int(grids[-1].prod()) // 4) + "<|vision_end|>"
    ids = tokenizer(prompt + "<|im_end|>\n<|im_start|>assistant\n", return_tensors="pt")["input_ids"]
    start, media = ids.shape[1], {}
    if grids:
        media = {"pixel_values": torch.cat(pixels), "image_grid_thw": torch.cat(grids)}
    with torch.no_grad():
        for _ in range(asked.max_tokens):
            kinds = (ids == model.config.image_token_id).int()
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=kinds, **media).logits
            ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
    return tokenizer.decode(ids[0, start:], skip_special_tokens=True)


def test_importing_the_engine_loads_no_library():
    code = "import evalkit.engines.transformers, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_start_says_what_was_loaded(start):
    engine = await start()
    assert isinstance(engine, Engine)
    facts = engine.facts
    assert json.loads(json.dumps(facts)) == facts
    assert facts["kind"] == "transformers"
    assert (facts["dtype"], facts["device"]) == ("float32", "cpu")
    assert facts["torch"] == torch.__version__
    assert facts["route"] == "image_processor+tokenizer"


@pytest.mark.parametrize("which", range(4))
async def test_greedy_text_is_what_plain_forward_passes_give(start, tiny_qwen, which):
    single = [r for r in various() if len(r.messages) == 1][which]
    engine = await start()
    completion = await engine.generate(single)
    assert completion.text == reference(tiny_qwen, single)
    assert len(set(completion.text)) > 2, "a model that repeats itself shows nothing"


async def test_a_batch_gives_the_texts_of_single_requests(start):
    engine = await start()
    batched = await together(engine, various())
    alone = [await engine.generate(r) for r in various()]
    assert [(c.text, c.finish_reason, c.usage) for c in batched] == [(c.text, c.finish_reason, c.usage) for c in alone]


async def test_usage_and_timing_are_those_of_the_row(start):
    engine = await start()
    a, b = picture(1), picture(2, 64, 128)
    short, long = await together(engine, [request("x", max_tokens=3), request(a, b, "many words", max_tokens=10)])
    assert (short.usage.prompt_tokens, short.usage.image_tokens, short.usage.completion_tokens) == (FRAME + 1, 0, 3)
    assert (long.usage.image_tokens, long.usage.completion_tokens) == (9 + 8, 10)
    assert long.usage.prompt_tokens == FRAME + len("many words") + 2 * 2 + 17
    for completion in (short, long):
        assert completion.timing.queue_s >= 0
        assert completion.timing.ttft_s > 0
    assert long.timing.decode_s > 0


async def test_the_token_limit_gives_length(start):
    completion = await (await start()).generate(request("x", max_tokens=4))
    assert (completion.finish_reason, completion.usage.completion_tokens) == ("length", 4)


async def test_generation_stops_at_a_stop_string_and_keeps_it(start):
    engine = await start()
    asked = request(picture(1), "tell me", max_tokens=30)
    whole = (await engine.generate(asked)).text
    mark = whole[4:7]
    at = whole.find(mark) + len(mark)
    beside = request("x", max_tokens=20)
    stopped, free = await together(
        engine, [request(picture(1), "tell me", max_tokens=30, stop=("never this", mark)), beside]
    )
    assert stopped.text == whole[:at]
    assert stopped.finish_reason == "stop"
    assert stopped.usage.completion_tokens < 30
    assert free.usage.completion_tokens == 20


async def test_a_stop_string_in_the_prompt_stops_nothing(start):
    engine = await start()
    asked = request("x", max_tokens=6)
    whole = (await engine.generate(asked)).text
    spanning = await engine.generate(request("x", max_tokens=6, stop=("assistant\n" + whole[0],)))
    assert (spanning.text, spanning.finish_reason) == (whole, "length")


async def test_the_end_token_stops_and_is_not_shown(start, tiny_qwen, tmp_path):
    engine = await start()
    asked = request("where does it end?", max_tokens=8)
    text = (await engine.generate(asked)).text
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_qwen)
    folder = shutil.copytree(tiny_qwen, tmp_path / "ends")
    end = tokenizer.convert_tokens_to_ids(text[2])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [end], "pad_token_id": 0}))
    ended = await (await start(weights=str(folder))).generate(asked)
    assert ended.finish_reason == "stop"
    assert ended.usage.completion_tokens == text.index(text[2]) + 1


async def test_call_tags_are_shown_and_special_tokens_are_not(start):
    from evalkit.engines.transformers import decoding

    tokenizer = (await start())._inputs.tokenizer
    ids = tokenizer("<tool_call>a</tool_call><|im_end|>", add_special_tokens=False)["input_ids"]
    assert decoding._text(tokenizer, ids) == "<tool_call>a</tool_call>"


async def test_tools_are_shown_only_when_the_request_has_some(start):
    engine = await start()
    without, with_tools = await together(engine, [request("x"), request("x", tools=TOOLS)])
    shown = len("<tools python>\n")
    assert with_tools.usage.prompt_tokens == without.usage.prompt_tokens + shown


async def test_seeded_draws_repeat_whatever_they_are_batched_with(start):
    engine = await start()
    alone = [await engine.generate(r) for r in various(WARM)]
    batched = await together(engine, various(WARM))
    other = await together(engine, various(Sampling(temperature=1.0, seed=8)))
    assert [c.text for c in alone] == [c.text for c in batched]
    assert [c.text for c in other] != [c.text for c in batched]
    keyed = [request("x", sampling=WARM, key=key, turn=turn) for key, turn in (("a", 0), ("b", 0), ("b", 1))]
    assert len({c.text for c in await together(engine, keyed)}) == 3


async def test_draws_follow_the_model_distribution(start, tiny_qwen):
    engine = await start(max_batch=512)
    hot = [request("x", sampling=Sampling(temperature=2.0, seed=i), max_tokens=1) for i in range(1500)]
    drawn = [c.text for c in await together(engine, hot)]
    model = engine._decoder._model
    tokenizer = engine._inputs.tokenizer
    ids = engine._inputs.build(hot[0]).tokens["input_ids"]
    with torch.no_grad():
        expected = (model(input_ids=ids).logits[0, -1] / 2.0).softmax(-1)
    token = int(expected.argmax())
    p = float(expected[token])
    share = drawn.count(tokenizer.decode([token])) / len(drawn)
    assert abs(share - p) < 4 * (p * (1 - p) / len(drawn)) ** 0.5


async def test_limits_on_the_draw_are_followed(start):
    engine = await start()
    greedy = await together(engine, various())
    for narrow in (
        Sampling(temperature=1.5, top_k=1),
        Sampling(temperature=1.5, top_p=1e-6),
        Sampling(temperature=1e-4),
        Sampling(repetition_penalty=1.0, presence_penalty=0.0),
    ):
        assert [c.text for c in await together(engine, various(narrow))] == [c.text for c in greedy]


async def test_penalties_keep_the_text_from_repeating_and_ignore_padding(start):
    engine = await start()
    for sampling in (Sampling(presence_penalty=1e4), Sampling(repetition_penalty=1e4)):
        batched = await together(engine, various(sampling))
        assert all(len(set(c.text)) == len(c.text) for c in batched)
        alone = [await engine.generate(r) for r in various(sampling)]
        assert [c.text for c in alone] == [c.text for c in batched]


async def test_a_prompt_beyond_the_context_is_refused_and_a_near_one_is_cut(start):
    engine = await start()
    outcomes = await asyncio.gather(
        engine.generate(request("x" * 300)),
        engine.generate(request("x" * (256 - FRAME - 5), max_tokens=50)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], ContextLengthError)
    assert "256" in str(outcomes[0])
    assert (outcomes[1].finish_reason, outcomes[1].usage.completion_tokens) == ("length", 5)


async def test_bad_images_and_bad_conversations_hurt_only_themselves(start):
    engine = await start()
    jpeg = io.BytesIO()
    Image.new("RGB", (200, 200)).save(jpeg, "JPEG")
    broken = ImageFile.from_bytes(jpeg.getvalue()[:300], "broken.jpg")
    outcomes = await asyncio.gather(
        engine.generate(request(broken, "broken")),
        engine.generate(request(picture(1, 2000, 4), "too long")),
        engine.generate(request(picture(1), "a literal <|image_pad|>")),
        engine.generate(request(picture(1), "fine")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], DataError)
    assert isinstance(outcomes[1], DataError)
    assert "picture 1" in str(outcomes[1])
    assert isinstance(outcomes[2], EngineError)
    assert "2 image placeholders for 1 images" in str(outcomes[2])
    assert outcomes[3].usage.completion_tokens == 12
    assert all("\n" not in str(outcome) for outcome in outcomes[:3])


async def test_an_image_is_processed_once(start, monkeypatch):
    engine = await start()
    opened = []
    original = ImageFile.open
    monkeypatch.setattr(ImageFile, "open", lambda self: opened.append(self.name) or original(self))
    again = ImageFile.from_bytes(picture(1).read(), "same bytes")
    await together(engine, [request(picture(1), "a"), request(again, "b"), request(picture(1), "c")])
    await engine.generate(request(again, picture(2), "d"))
    assert len(opened) == 2


async def test_the_pixel_budget_can_be_replaced(start):
    usual = await (await start()).generate(request(picture(1, 400, 400)))
    small = await (await start(max_pixels=64 * 64)).generate(request(picture(1, 400, 400)))
    large = await (await start(min_pixels=128 * 128, max_pixels=128 * 128)).generate(request(picture(1, 40, 40)))
    assert [c.usage.image_tokens for c in (usual, small, large)] == [9, 4, 16]


async def test_a_batch_that_runs_out_of_memory_is_halved(start, monkeypatch):
    from evalkit.engines.transformers import decoding

    engine = await start()
    expected = [c.text for c in await together(engine, various())]
    run = decoding.Decoder.run

    def limited(self, rows):
        if len(rows) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return run(self, rows)

    monkeypatch.setattr(decoding.Decoder, "run", limited)
    completions = await together(engine, various())
    assert [c.text for c in completions] == expected
    assert any(c.retries for c in completions)


async def test_cancelling_one_request_leaves_its_batch_alone(start):
    engine = await start()
    expected = (await engine.generate(request("stays", max_tokens=100))).text
    goes = asyncio.create_task(engine.generate(request("goes!", max_tokens=150)))
    stays = asyncio.create_task(engine.generate(request("stays", max_tokens=100)))
    await asyncio.sleep(0.1)
    goes.cancel()
    assert (await stays).text == expected
    assert goes.cancelled()


async def test_close_fails_pending_requests_and_can_be_repeated(start, tiny_qwen):
    engine = await start()
    pending = asyncio.create_task(engine.generate(request("x", max_tokens=200)))
    await asyncio.sleep(0.1)
    await engine.close()
    await engine.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await pending
    with pytest.raises(EngineUnavailableError, match="closed"):
        await engine.generate(request("x"))
    unstarted = TransformersEngine(weights=str(tiny_qwen))
    with pytest.raises(EngineUnavailableError, match="not started"):
        await unstarted.generate(request("x"))
    await unstarted.close()


async def test_missing_libraries_weights_and_devices_are_one_line(tiny_qwen, tmp_path, monkeypatch):
    async def message(**options) -> str:
        with pytest.raises(EvalkitError) as caught:
            await TransformersEngine(**{"weights": str(tiny_qwen), **options}).start()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def unreachable(*_, **__):
        raise OSError("name or service\nnot known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    assert "no-such/model" in (text := await message(weights="no-such/model"))
    assert "give a folder" in text
    assert "config.json" in await message(weights=str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert str(tmp_path) in await message(weights=str(tmp_path))
    assert "unknown device" in await message(device="abacus")
    with pytest.raises(EvalkitError, match="float32"):
        TransformersEngine(weights="x", dtype="int3")
    with pytest.raises(EvalkitError, match="max_batch"):
        TransformersEngine(weights="x", max_batch=0)
    monkeypatch.setitem(sys.modules, "torch", None)
    expected = "the transformers engine needs torch and transformers: pip install 'evalkit[hf]'"
    assert await message() == expected


async def test_own_inputs_are_those_of_the_models_processor(start):
    engine = await start()
    builder = engine._inputs
    if builder._processor is None:
        pytest.skip("AutoProcessor does not load here: torchvision is missing")
    assert builder._agrees()
    for asked in various():
        ours = builder._assembled(asked, [i for m in asked.messages for i in m.images])
        theirs = builder._whole(asked, [i for m in asked.messages for i in m.images])
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.keys() == other.keys()
            assert all(torch.equal(mine[name], other[name]) for name in mine)
    expected = [c.text for c in await together(engine, various())]
    builder.route = "processor"
    assert [c.text for c in await together(engine, various())] == expected


async def test_the_kind_of_attention_is_recorded_and_changes_no_answer(start) -> None:
    requests = various()
    texts = []
    for attention in ("sdpa", "eager"):
        engine = await start(attention=attention)
        assert engine.facts["attention"] == attention
        assert engine.facts["batch_invariant"] is False
        texts.append([completion.text for completion in await together(engine, requests)])
    assert texts[0] == texts[1]
    with pytest.raises(EvalkitError, match="attention 'flash' is not one of sdpa, eager, flash_attention_2"):
        TransformersEngine(weights="x", attention="flash")
