"""metis-nano behind Ray Serve: a deployment that speaks the OpenAI protocol the way vLLM's server does.

Each replica keeps images under their ids for itself alone, as a vLLM server does, so that what a balancer in front of
several such caches does to a run can be seen. `serve run tests.e2e.ray_serve_nano:nano` starts two replicas.
"""

import asyncio
import base64
import os
import time
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from ray import serve
from starlette.requests import Request as Http

from evalkit.engines import Message, Request, Sampling
from evalkit.images import ImageFile
from evalkit.models import find_card
from evalkit.runs.setup import EngineSettings, make_engine

MODEL = "metis-nano"
_MISS = "Cache miss for image at index 0 but data is not provided"
web = FastAPI()


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
@serve.ingress(web)
class Nano:
    """One replica: the engine, and the images it was sent."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.engine = make_engine(find_card(MODEL), EngineSettings())
        self.started: asyncio.Future[Any] | None = None
        self.images: dict[str, ImageFile] = {}
        self.served = self.missed = 0

    @web.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        """The one model."""
        card = {"id": MODEL, "object": "model", "created": 0, "owned_by": "vllm", "max_model_len": 4096}
        return {"object": "list", "data": [card]}

    @web.get("/facts")
    async def facts(self) -> dict[str, Any]:
        """What the replica that happens to answer has done."""
        return {"pid": os.getpid(), "served": self.served, "missed": self.missed, "images": len(self.images)}

    @web.post("/v1/chat/completions")
    async def complete(self, http: Http) -> Any:
        """One generation."""
        await self.start()
        asked = await http.json()
        try:
            messages = tuple(self.message(entry) for entry in asked["messages"])
        except KeyError:
            self.missed += 1
            return JSONResponse({"error": {"message": _MISS, "type": "BadRequestError", "code": 400}}, 400)
        names = ("temperature", "top_p", "seed")
        request = Request(
            messages=messages,
            sampling=Sampling(**{name: asked[name] for name in names if asked.get(name) is not None}),
            max_tokens=asked["max_tokens"],
            stop=tuple(asked.get("stop") or ()),
            tools=tuple(asked.get("tools") or ()),
        )
        done = await self.engine.generate(request)
        self.served += 1
        usage = {"prompt_tokens": done.usage.prompt_tokens, "completion_tokens": done.usage.completion_tokens}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": done.text},
            "finish_reason": done.finish_reason,
        }
        frame = {"id": "nano", "object": "chat.completion", "created": int(time.time()), "model": MODEL}
        return {**frame, "choices": [choice], "usage": usage}

    async def start(self) -> None:
        """Load the model at the first request; whoever comes meanwhile waits for the same loading."""
        if self.started is None:
            self.started = asyncio.ensure_future(self.engine.start())
        await self.started

    def message(self, entry: dict[str, Any]) -> Message:
        """A message in evalkit's form; KeyError where an image is named that this replica was never sent."""
        content = entry["content"]
        if isinstance(content, str):
            return Message(role=entry["role"], parts=(content,))
        return Message(role=entry["role"], parts=tuple(self.part(part) for part in content))

    def part(self, part: dict[str, Any]) -> str | ImageFile:
        """A text, or an image by its data or its id."""
        if part["type"] == "text":
            return str(part["text"])
        if part["image_url"] is None:
            return self.images[part["uuid"]]
        image = ImageFile.from_bytes(base64.b64decode(part["image_url"]["url"].split(",", 1)[1]))
        if part.get("uuid"):
            self.images[part["uuid"]] = image
        return image


nano = Nano.options(num_replicas=2).bind()  # type: ignore[attr-defined]
