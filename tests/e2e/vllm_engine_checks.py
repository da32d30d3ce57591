"""What the vLLM engine promises, asked of the real library. Run with a Python that has vLLM: FILE WEIGHTS."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np
from PIL import Image

from evalkit.engines.base import Message, Request, Sampling
from evalkit.engines.vllm import VllmEngine
from evalkit.errors import ContextLengthError, DataError, EngineError, EngineUnavailableError
from evalkit.images import ImageFile

CONTEXT = 512


def picture(seed: int, width: int = 96, height: int = 96) -> ImageFile:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ImageFile.from_pil(Image.fromarray(pixels), f"picture {seed}")


def request(*parts, max_tokens: int = 12, sampling: Sampling | None = None, **options) -> Request:
    messages = (Message("user", parts),)
    return Request(messages=messages, sampling=sampling or Sampling(), max_tokens=max_tokens, **options)


async def check(engine: VllmEngine) -> None:
    a, b = picture(1), picture(2, 200, 60)
    opened: list[str] = []
    original = ImageFile.open
    ImageFile.open = lambda self: opened.append(self.name) or original(self)

    alone = [await engine.generate(request(*parts)) for parts in ((a, "x"), (a, "x", b, "y"), ("no image",))]
    assert opened == ["picture 1", "picture 2"], opened
    together = await asyncio.gather(
        *(engine.generate(request(*p)) for p in ((a, "x"), (a, "x", b, "y"), ("no image",)))
    )
    assert [c.text for c in together] == [c.text for c in alone]
    assert [(s.width, s.height, s.tokens) for s in alone[1].images] == [(96, 96, 9), (160, 32, 5)]
    assert (alone[1].usage.image_tokens, alone[1].usage.completion_tokens) == (14, 12)
    for done in alone:
        assert done.timing.queue_s >= 0
        assert done.timing.ttft_s > 0
        assert done.timing.decode_s > 0
    print("images by name, sizes, usage, times")

    text = alone[0].text
    stopped = await engine.generate(request(a, "x", stop=("never", text[3:6])))
    assert (stopped.text, stopped.finish_reason) == (text[: text.find(text[3:6]) + 3], "stop"), stopped
    warm = [Sampling(temperature=1.0, seed=seed) for seed in (7, 7, 8)]
    draws = [(await engine.generate(request(a, "x", sampling=s, max_tokens=30))).text for s in warm]
    assert draws[0] == draws[1] != draws[2], draws
    tools = ({"type": "function", "function": {"name": "python", "parameters": {}}},)
    bare, armed = [await engine.generate(request("x", **more)) for more in ({}, {"tools": tools})]
    assert armed.usage.prompt_tokens > bare.usage.prompt_tokens
    print("stop strings, seeds, tools")

    broken = ImageFile.from_bytes(b.read()[:300] + b"IEND\xaeB`\x82", "broken")
    outcomes = await asyncio.gather(
        engine.generate(request(a, picture(3, 2000, 4), "too long")),
        engine.generate(request(broken, "broken")),
        engine.generate(request(a, "a literal <|image_pad|>")),
        engine.generate(request("x" * 600)),
        engine.generate(request("x" * (CONTEXT - 60), max_tokens=500)),
        engine.generate(request(a, "x")),
        return_exceptions=True,
    )
    kinds = [DataError, DataError, EngineError, ContextLengthError]
    assert [type(outcome) for outcome in outcomes[:4]] == kinds, outcomes
    assert "picture 3" in str(outcomes[0])
    assert outcomes[4].usage.prompt_tokens + outcomes[4].usage.completion_tokens == CONTEXT
    assert outcomes[5].text == text
    print("bad input hurts itself alone")

    library = engine._vllm.engine
    library.renderer.clear_mm_cache()
    assert (await engine.generate(request(a, "x"))).text == text
    goes = asyncio.create_task(engine.generate(request("goes", max_tokens=400)))
    while not library.get_num_unfinished_requests():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    goes.cancel()
    await asyncio.wait({goes})
    assert goes.cancelled()
    assert library.get_num_unfinished_requests() == 0
    print("a lost cache, a cancelled request")

    pending = asyncio.create_task(engine.generate(request("x", max_tokens=400)))
    await asyncio.sleep(0.2)
    await engine.close()
    await engine.close()
    outcome = (await asyncio.gather(pending, return_exceptions=True))[0]
    assert isinstance(outcome, EngineUnavailableError), outcome
    print("closed")


async def main(weights: str) -> None:
    engine = VllmEngine(weights=weights, dtype="float32", enforce_eager=True, max_model_len=CONTEXT)
    clock = time.monotonic()
    try:
        facts = await engine.start()
        print(f"started in {time.monotonic() - clock:.0f} s: {facts}")
        await check(engine)
    finally:
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
