"""A real server goes on in the assistant's own message: the prompt is the conversation up to there and no more.

Run by `nox -s e2e`, which sets EVALKIT_E2E_VLLM to a Python that has vLLM.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from evalkit.engines.base import Message, Request, Sampling
from evalkit.engines.openai import OpenAIEngine
from tests.agents import picture
from tests.e2e.serving import needs_vllm, served
from tests.tiny_qwen import build

pytestmark = needs_vllm

CODE, TAIL = "<code>a</code><sandbox_output>", "</sandbox_output>"


def completed(url: str, prompt: str) -> Any:
    """The server's greedy completion of a bare prompt."""
    body = {"model": "tiny", "prompt": prompt, "max_tokens": 12, "temperature": 0, "add_special_tokens": False}
    # the folder's own defaults would apply
    body |= {"repetition_penalty": 1.0, "top_p": 1.0, "top_k": -1}
    asked = urllib.request.Request(
        f"{url}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.load(reply)


async def test_the_generation_goes_on_where_the_message_ends(tmp_path: Path) -> None:
    image = picture(96, 96)
    words = (Message("user", ("what?",)), Message("assistant", (CODE + TAIL,)))
    pictured = (Message("user", (image, "what?")), Message("assistant", (CODE, image, TAIL)))
    prompt = f"<|im_start|>user\nwhat?<|im_end|>\n<|im_start|>assistant\n{CODE}{TAIL}"
    with served(build(tmp_path / "tiny", max_positions=4096), "tiny", tmp_path / "vllm.log") as url:
        engine = OpenAIEngine(base_url=url)
        await engine.start()
        try:
            said = await engine.generate(Request(messages=words, sampling=Sampling(), max_tokens=12))
            seen = await engine.generate(Request(messages=pictured, sampling=Sampling(), max_tokens=12))
        finally:
            await engine.close()
        plain = completed(url, prompt)
    assert said.usage.prompt_tokens == plain["usage"]["prompt_tokens"]
    assert said.text == plain["choices"][0]["text"]
    # each image takes 9 places between two marks, where it stands
    assert seen.usage.prompt_tokens == plain["usage"]["prompt_tokens"] + 2 * (9 + 2)
