"""A generation goes on in the assistant's own last message: the same prompt for every engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from evalkit.engines.base import Message, Request, Sampling
from evalkit.engines.openai import OpenAIEngine
from evalkit.engines.vllm.prompts import template_arguments
from evalkit.errors import EngineError, EvalkitError
from evalkit.images import ImageFile
from tests.agents import picture
from tests.engines.openai_server import Server, serving

CODE, TAIL = "<code>a</code><sandbox_output>", "</sandbox_output>"


def going_on(image: ImageFile, max_tokens: int = 8) -> Request:
    messages = (Message("user", (image, "what?")), Message("assistant", (CODE, image, TAIL)))
    return Request(messages=messages, sampling=Sampling(), max_tokens=max_tokens)


def test_only_an_assistants_last_message_goes_on() -> None:
    request = going_on(picture())
    assert request.continues
    first = Request(messages=request.messages[:1], sampling=Sampling(), max_tokens=1)
    assert not first.continues
    assert template_arguments(request) == {"add_generation_prompt": False, "continue_final_message": True}
    assert template_arguments(first) == {"add_generation_prompt": True, "continue_final_message": False}


async def test_a_server_is_asked_to_go_on() -> None:
    async with serving() as server:
        engine = OpenAIEngine(base_url=server.url)
        await engine.start()
        try:
            request = going_on(picture())
            await engine.generate(request)
            body = server.last
            assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
            assert [part["type"] for part in body["messages"][-1]["content"]] == ["text", "image_url", "text"]
            assert body["messages"][-1]["role"] == "assistant"
            await engine.generate(Request(messages=request.messages[:1], sampling=Sampling(), max_tokens=1))
            assert "continue_final_message" not in server.last
            assert "add_generation_prompt" not in server.last
        finally:
            await engine.close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unrecognized request argument supplied: add_generation_prompt"),
        (422, "Extra inputs are not permitted"),
        (400, "Cannot set `continue_final_message` when the last message is not from the assistant"),
    ],
)
async def test_a_server_that_cannot_is_said_in_one_line(status: int, words: str) -> None:
    def reply(body: dict[str, object]) -> object:
        return web.json_response({"error": {"message": words}}, status=status)

    server = Server()
    server.reply = reply
    async with serving(server):
        engine = OpenAIEngine(base_url=server.url)
        await engine.start()
        try:
            with pytest.raises(EngineError, match="go on in its own turn") as said:
                await engine.generate(going_on(picture()))
            assert "\n" not in str(said.value)
            assert words.split()[0] in str(said.value)
            first = Request(messages=going_on(picture()).messages[:1], sampling=Sampling(), max_tokens=1)
            with pytest.raises(EvalkitError) as other:
                await engine.generate(first)
            assert "own turn" not in str(other.value)
        finally:
            await engine.close()


async def test_transformers_goes_on_where_the_message_ends(tiny_qwen: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from evalkit.engines.transformers import TransformersEngine

    engine = TransformersEngine(weights=str(tiny_qwen), dtype="float32", device="cpu")
    await engine.start()
    try:
        words = (Message("user", ("what?",)), Message("assistant", (CODE + TAIL,)))
        said = await engine.generate(Request(messages=words, sampling=Sampling(), max_tokens=8))
        pictured = await engine.generate(going_on(picture(96, 96)))
        short = await engine.generate(Request(messages=words[:1], sampling=Sampling(), max_tokens=8))
    finally:
        await engine.close()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_qwen)
    model = transformers.AutoModelForImageTextToText.from_pretrained(tiny_qwen, dtype=torch.float32).eval()
    prompt = f"<|im_start|>user\nwhat?<|im_end|>\n<|im_start|>assistant\n{CODE}{TAIL}"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
    whole = ids
    with torch.no_grad():
        for _ in range(8):
            whole = torch.cat([whole, model(input_ids=whole).logits[:, -1:].argmax(-1)], dim=1)
    assert said.text == tokenizer.decode(whole[0, ids.shape[1] :])
    assert said.usage.prompt_tokens == ids.shape[1]
    assert short.usage.prompt_tokens == ids.shape[1] - len(CODE + TAIL)
    # the second image stands inside the assistant's message: twice as many placeholders, nothing closed after it
    assert pictured.usage.image_tokens == 2 * 9
    assert pictured.usage.prompt_tokens == ids.shape[1] + 2 * (9 + 2)
