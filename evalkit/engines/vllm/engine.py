"""The engine that runs vLLM's `AsyncLLM` in this process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evalkit.engines.base import Completion, Message, Request, Sampling
from evalkit.engines.pixels import Seen
from evalkit.engines.vllm.loading import Loaded, import_library, load, platform
from evalkit.engines.vllm.log import ENGINE_FILE, how_it_ended, last_words
from evalkit.engines.vllm.outputs import completion_of, seen_in, stray_placeholders
from evalkit.engines.vllm.prompts import conversation, sampling_parameters, template_arguments
from evalkit.errors import ContextLengthError, DataError, EngineError, EngineUnavailableError, EvalkitError, one_line
from evalkit.images import ImageFile

_TRIES = 3
_REMEMBERED = 100_000
_LOOK_S = 0.5
_LEAVE_S = 10.0


class VllmEngine:
    """Runs a vision-language model in vLLM: requests of all trajectories and turns share its running batch.

    Images go in under their content's digest. While vLLM's processor cache holds one, later turns and other
    trajectories send the digest alone: the file is neither read, decoded nor processed again, and prefix
    caching spares the model what earlier turns computed.

    Only the request says how tokens are drawn: of the model's `generation_config.json` nothing but its
    end-of-sequence tokens applies.

    Args:
        weights: folder with the model, or its hub id.
        revision: hub revision; None is the default branch.
        dtype: "auto" (vLLM's choice: half precision for float32 weights on a GPU), "float32", "bfloat16",
            "float16".
        device: "auto", or the kind of device that the installed vLLM must run on.
        tensor_parallel: GPUs to split the model over.
        max_model_len: context in tokens; None is the model's own.
        memory_share: share of a GPU's memory that vLLM takes; None is vLLM's default.
        enforce_eager: no CUDA graphs and no compilation: starts faster, runs slower.
        min_pixels: replaces the image processor's lower bound on an image's pixels.
        max_pixels: replaces its upper bound.
    """

    def __init__(
        self,
        *,
        weights: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        tensor_parallel: int = 1,
        max_model_len: int | None = None,
        memory_share: float | None = None,
        enforce_eager: bool = False,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self._weights = weights
        self._device = device
        self._pixels = (min_pixels, max_pixels)
        self._arguments: dict[str, Any] = {
            "model": weights,
            "revision": revision,
            "dtype": dtype,
            "tensor_parallel_size": tensor_parallel,
            "enforce_eager": enforce_eager,
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"video": 0},
            "disable_log_stats": False,
        }
        if max_model_len is not None:
            self._arguments["max_model_len"] = max_model_len
        if memory_share is not None:
            self._arguments["gpu_memory_utilization"] = memory_share
        self._vllm: Loaded | None = None
        self._ended: asyncio.Future[str] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._folder: Path | None = None
        self._kept: Path | None = None
        self._seen: dict[str, Seen] = {}
        self._numbers = itertools.count()

    async def start(self) -> dict[str, Any]:
        """Start vLLM and load the model.

        Returns:
            kind, weights, revision, identity, dtype, device, max_model_len, tensor_parallel, pixels (factor and
            bounds, where the processor has them) and the versions of vllm, torch and transformers.

        Raises:
            EvalkitError: vLLM is missing, or cannot load the model here; its own reason is in the message.
        """
        if self._vllm is not None:
            raise EvalkitError("the vLLM engine is already started")
        self._folder = Path(tempfile.mkdtemp(prefix="evalkit-vllm-"))
        try:
            await asyncio.to_thread(import_library, self._folder)
            vllm = self._vllm = await asyncio.to_thread(self._load, self._folder)
        except BaseException:
            self._forget_logs()
            raise
        self._ended = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._look_after(vllm))
        return {
            "kind": "vllm",
            "weights": self._weights,
            "revision": self._arguments["revision"],
            "identity": vllm.commit,
            "dtype": vllm.dtype,
            "device": vllm.device,
            "max_model_len": vllm.limit,
            "tensor_parallel": self._arguments["tensor_parallel_size"],
            # vLLM's own switch for kernels whose results do not depend on the batch
            "batch_invariant": os.environ.get("VLLM_BATCH_INVARIANT") == "1",
            "pixels": None if vllm.budget is None else msgspec.to_builtins(vllm.budget),
            **vllm.versions,
        }

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation.

        Raises:
            DataError: an image of the request cannot be decoded, or the model's processor refuses it.
            ContextLengthError: the prompt leaves no room in the model's context.
            EngineError: vLLM refuses the request, or fails at it.
            EngineUnavailableError: the engine's process has died, or the engine is not started or was closed.
        """
        arrived = time.monotonic()
        vllm, ended = self._vllm, self._ended
        if vllm is None or ended is None:
            raise EngineUnavailableError("the vLLM engine is not started")
        if ended.done():
            raise EngineUnavailableError(ended.result())
        work = asyncio.create_task(self._answer(vllm, request, arrived))
        try:
            first: set[asyncio.Future[Any]] = {work, ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise EngineUnavailableError(ended.result())
        except vllm.dead:
            raise EngineUnavailableError(await self._obituary(vllm)) from None
        finally:
            if not work.done():
                work.cancel()
                # Cancelling is what takes the request out of vLLM's batch.
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await work

    async def close(self) -> None:
        """Fail pending requests, stop vLLM and its processes; safe to call twice."""
        vllm, self._vllm = self._vllm, None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result("the vLLM engine was closed")
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if vllm is not None:
            # Waiting requests leave first, so that none asks an engine that is going down.
            await asyncio.sleep(0)
            await asyncio.to_thread(vllm.engine.shutdown, _LEAVE_S)
            await asyncio.to_thread(_see_off, vllm.processes)
            del vllm
            # Its reference cycles go now: at the interpreter's end its own clean-up would fail, and say so.
            gc.collect()
        self._forget_logs()

    def _load(self, folder: Path) -> Loaded:
        try:
            loaded = load(self._arguments, *self._pixels, folder)
        except EvalkitError:
            raise
        except Exception as error:
            # Whatever goes wrong here lies in the weights, the machine or the library versions.
            own = "" if last_words(folder) else f"; {type(error).__name__}: {one_line(error)}"
            raise EvalkitError(f"vLLM cannot run {self._weights}{own}{self._testament()}") from error
        if self._device not in ("auto", platform()):
            loaded.engine.shutdown()
            raise EvalkitError(
                f"--device {one_line(self._device, 40)}: the vLLM installed here runs on {platform()}; leave it out"
            )
        return loaded

    async def _look_after(self, vllm: Loaded) -> None:
        """Notice a dead engine, so that no request waits for ever."""
        while not vllm.engine.errored:  # noqa: ASYNC110 - vLLM has no event for it
            await asyncio.sleep(_LOOK_S)
        words = await self._obituary(vllm)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(words)

    async def _obituary(self, vllm: Loaded) -> str:
        # Its exit code and last lines may take a moment longer than the news.
        for _ in range(20):
            if any(process.exitcode is not None for process in vllm.processes):
                break
            await asyncio.sleep(0.05)
        codes = [process.exitcode for process in vllm.processes if process.exitcode is not None]
        how = how_it_ended(codes[0] if codes else None)
        return f"vLLM's engine process has died ({how}){self._testament()}"

    def _testament(self) -> str:
        """The end of an error about a dead engine: its last words, and where all of them are kept."""
        folder, self._folder = self._folder, None
        self._kept = folder or self._kept
        if self._kept is None:
            return ""
        words = last_words(self._kept)
        return (f"; its last words: {words}" if words else "") + f"; its log: {self._kept / ENGINE_FILE}"

    async def _answer(self, vllm: Loaded, request: Request, arrived: float) -> Completion:
        images = [image for message in request.messages for image in message.images]
        for attempt in range(_TRIES):
            prompt, seen = await self._prompt(vllm, request, images, whole=attempt > 0)
            length = len(prompt["prompt_token_ids"])
            if length >= vllm.limit:
                raise ContextLengthError(f"the prompt has {length} tokens, the model's context {vllm.limit}")
            output = await self._run(vllm, prompt, sampling_parameters(request, vllm.limit - length))
            reason = output.outputs[0].finish_reason
            if reason == "abort":
                raise EngineError("vLLM gave the request up")
            if reason != "error":
                completion = completion_of(output, request, seen, arrived)
                return msgspec.structs.replace(completion, retries=attempt) if attempt else completion
            # Its processor cache and its engine's disagreed about an image; the next try sends it again.
        raise EngineError(f"vLLM failed at the request {_TRIES} times")

    async def _prompt(
        self, vllm: Loaded, request: Request, images: Sequence[ImageFile], whole: bool
    ) -> tuple[Any, list[Seen]]:
        """The rendered prompt and what the processor made of its images; `whole` sends every image's data."""
        headers = [await image.inspect() for image in images]
        names = {header.sha256: image for header, image in zip(headers, images, strict=True)}
        wanted = names if whole else {id: image for id, image in names.items() if id not in self._seen}
        try:
            prompt = await self._render(vllm, request, await _decoded(wanted))
        except (vllm.dead, DataError):
            raise
        except Exception as error:
            if len(wanted) < len(names):
                # Most likely an image has left vLLM's cache meanwhile.
                return await self._prompt(vllm, request, images, whole=True)
            await self._blame(vllm, {id: image for id, image in names.items() if id not in self._seen})
            raise EngineError(f"the chat template or processor refuses the conversation: {_cause(error)}") from error
        stray = stray_placeholders(prompt, vllm.image_token)
        if stray:
            raise EngineError(
                f"the prompt shows {stray} image placeholders beside those of its {len(images)} images: "
                "a text contains the placeholder"
            )
        found = seen_in(prompt, vllm.budget)
        if len(found) != len(images):
            raise EngineError(f"the prompt shows {len(found)} of {len(images)} images: the chat template drops images")
        return prompt, [self._remember(header.sha256, seen) for header, seen in zip(headers, found, strict=True)]

    async def _blame(self, vllm: Loaded, images: Mapping[str, ImageFile]) -> None:
        """Raise for the first image that the processor refuses on its own."""
        for id, image in images.items():
            alone = Request(messages=(Message("user", (image,)),), sampling=Sampling(), max_tokens=1)
            try:
                await self._render(vllm, alone, await _decoded({id: image}))
            except DataError:
                raise
            except Exception as error:
                raise DataError(f"the model's processor refuses image {image.name}: {_cause(error)}") from error

    async def _render(self, vllm: Loaded, request: Request, pictures: Mapping[str, Any]) -> Any:
        chat, tokens = vllm.chat(template_arguments(request))
        _, (prompt,) = await vllm.engine.renderer.render_chat_async([conversation(request, pictures)], chat, tokens)
        return prompt

    async def _run(self, vllm: Loaded, prompt: Any, parameters: dict[str, Any]) -> Any:
        id = f"evalkit-{next(self._numbers)}"
        try:
            outputs = [output async for output in vllm.engine.generate(prompt, vllm.sampling(parameters), id)]
        except vllm.dead:
            raise
        except vllm.refused as error:
            raise EngineError(f"vLLM refuses the request: {one_line(error)}") from error
        except Exception as error:
            raise EngineError(f"vLLM failed: {_cause(error)}") from error
        if not outputs:
            raise EngineError("vLLM gave no answer")
        return outputs[-1]

    def _remember(self, id: str, seen: Seen) -> Seen:
        """What is known of an image, by now or from its first turn, when its size was told."""
        known = self._seen.get(id)
        if known is not None and seen.width is None:
            return known
        while len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[id] = seen
        return seen

    def _forget_logs(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


async def _decoded(images: Mapping[str, ImageFile]) -> dict[str, Any]:
    pictures = await asyncio.gather(*(asyncio.to_thread(image.open) for image in images.values()))
    return dict(zip(images, pictures, strict=True))


def _cause(error: BaseException) -> str:
    """The first cause of an error that libraries have wrapped."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {one_line(error)}"


def _see_off(processes: Sequence[Any]) -> None:
    """End what vLLM's own shutdown has left of its processes."""
    for process in processes:
        process.join(1.0)
        if process.exitcode is None:
            process.kill()
            process.join()
