"""The engine that runs a model in this process through the transformers library."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalkit.engines.base import Completion, Request
from evalkit.engines.transformers.batching import Batcher, Job
from evalkit.errors import EngineUnavailableError, EvalkitError, one_line

if TYPE_CHECKING:
    from evalkit.engines.transformers.decoding import Decoder, Row
    from evalkit.engines.transformers.inputs import InputBuilder, Prepared

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_ATTENTION = ("sdpa", "eager", "flash_attention_2")


class TransformersEngine:
    """Runs a vision-language model with `model.generate` in dynamic batches.

    Requests of all trajectories are prepared in threads as they arrive; one generation thread takes what is
    ready whenever it becomes free. A batch does not change greedy answers but for rounding: in float32 they
    are those of single requests except where two tokens tie within the last bits.

    With `Sampling.seed` the random numbers of a request follow from its seed, key and turn, whatever it is
    batched with, so a draw repeats on the same machine up to the same rounding; requests with different
    keys draw independently under one seed. Without a seed nothing repeats.

    Only the request says how tokens are drawn: defaults of the model's `generation_config.json`
    (temperature, top_p, ...) are not used, except for its end-of-sequence tokens.

    Args:
        weights: folder with the model, or its hub id.
        revision: hub revision; None is the default branch.
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16".
        device: "auto" (cuda if available, else cpu) or a torch device.
        max_batch: requests a batch, at most. It is lowered when a batch fails that succeeds in halves,
            which is what a lack of memory looks like.
        min_pixels: replaces the image processor's lower bound on an image's pixels.
        max_pixels: replaces its upper bound.
        attention: "sdpa", "eager" or "flash_attention_2".
        compiled: run the model through `torch.compile`: slow to start (minutes for a large model), then faster.
    """

    def __init__(
        self,
        *,
        weights: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        max_batch: int = 64,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        attention: str = "sdpa",
        compiled: bool = False,
    ) -> None:
        if dtype not in _DTYPES:
            raise EvalkitError(f"dtype {one_line(dtype, 40)!r} is not one of {', '.join(_DTYPES)}")
        if attention not in _ATTENTION:
            raise EvalkitError(f"attention {one_line(attention, 40)!r} is not one of {', '.join(_ATTENTION)}")
        if max_batch < 1:
            raise EvalkitError(f"max_batch is {max_batch}, but must be at least 1")
        self._weights = weights
        self._revision = revision
        self._dtype = dtype
        self._device = device
        self._max_batch = max_batch
        self._attention = attention
        self._compiled = compiled
        self._pixels = (min_pixels, max_pixels)
        self._inputs: InputBuilder | None = None
        self._decoder: Decoder | None = None
        self._batcher: Batcher[Prepared] | None = None

    async def start(self) -> dict[str, Any]:
        """Load the model.

        Returns:
            kind, weights, revision, dtype, device, attention, compiled, max_batch, route (how inputs are
            built, see `InputBuilder`), batch_invariant (whether an answer is the same bit by bit in any batch)
            and the versions of torch and transformers.

        Raises:
            EvalkitError: the extra is missing, or the weights cannot be found or loaded.
        """
        if self._batcher is not None:
            raise EvalkitError("the transformers engine is already started")
        facts = await asyncio.to_thread(self._load)
        assert self._inputs is not None
        self._batcher = Batcher(
            prepare=self._inputs.build,
            group=_group,
            length=lambda prepared: prepared.prompt_tokens,
            run=self._run,
            recover=_free_memory,
            max_batch=self._max_batch,
        )
        return facts

    async def generate(self, request: Request) -> Completion:
        """Continue the conversation.

        Raises:
            DataError: an image of the request cannot be decoded.
            ContextLengthError: the prompt leaves no room in the model's context.
            EngineError: the processor refuses the request, or generation fails even without neighbours.
            EngineUnavailableError: the engine is not started, or was closed.
        """
        if self._batcher is None:
            raise EngineUnavailableError("the transformers engine is not started")
        return await self._batcher.submit(request)

    async def close(self) -> None:
        """Fail pending requests, stop the threads and free the model; safe to call twice."""
        if self._batcher is None:
            return
        # The batcher stays, so that a later `generate` says that the engine was closed.
        await asyncio.to_thread(self._batcher.close)
        self._inputs = self._decoder = None
        _free_memory()

    def _load(self) -> dict[str, Any]:
        try:
            import torch
            import transformers
        except ModuleNotFoundError as error:
            raise EvalkitError(
                "the transformers engine needs torch and transformers: pip install 'evalkit[hf]'"
            ) from error

        from evalkit.engines.transformers.decoding import Decoder
        from evalkit.engines.transformers.inputs import InputBuilder

        device = _device(self._device)
        _find(self._weights, self._revision)
        try:
            with quiet_loading():
                model = transformers.AutoModelForImageTextToText.from_pretrained(
                    self._weights,
                    revision=self._revision,
                    dtype=self._dtype if self._dtype == "auto" else getattr(torch, self._dtype),
                    attn_implementation=self._attention,
                    # code that comes with weights is not run
                    trust_remote_code=False,
                )
            model = model.to(device).eval()
            self._inputs = InputBuilder(self._weights, self._revision, model, *self._pixels)
        except EvalkitError:
            raise
        except Exception as error:
            # Whatever goes wrong here lies in the weights, the machine or the library versions.
            raise EvalkitError(f"cannot load {self._weights}: {type(error).__name__}: {one_line(error)}") from error
        if self._compiled:
            # The language model alone: it runs once a token, and the shapes inside an image encoder follow from
            # the images, so that it would be compiled anew for nearly every batch.
            decoder = model.get_decoder()
            decoder.forward = torch.compile(decoder.forward, dynamic=True)
        self._decoder = Decoder(model, self._inputs.tokenizer)
        return {
            "kind": "transformers",
            "weights": self._weights,
            "revision": self._revision,
            "identity": str(getattr(model.config, "_commit_hash", None) or ""),
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "attention": self._attention,
            "compiled": self._compiled,
            "batch_invariant": False,
            "max_batch": self._max_batch,
            "pixels": None if self._inputs.budget is None else msgspec.to_builtins(self._inputs.budget),
            "route": self._inputs.route,
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
        }

    def _run(self, jobs: Sequence[Job[Prepared]]) -> list[Completion]:
        assert self._decoder is not None
        return self._decoder.run(rows_of(jobs))


def rows_of(jobs: Sequence[Job[Prepared]]) -> list[Row]:
    """What the decoder needs of a batch's jobs."""
    from evalkit.engines.transformers.decoding import Row

    return [
        Row(
            request=job.request,
            tokens=job.prepared.tokens,
            media=job.prepared.media,
            max_tokens=job.prepared.max_tokens,
            image_tokens=job.prepared.image_tokens,
            arrived=job.arrived,
            abandoned=lambda job=job: job.abandoned,  # type: ignore[misc]
            seen=job.prepared.seen,
        )
        for job in jobs
    ]


def _group(job: Job[Prepared]) -> Hashable:
    """Requests that differ only in seed, limit or stop strings share a batch: those are kept a row each."""
    sampling = msgspec.structs.replace(job.request.sampling, seed=None)
    return sampling, job.prepared.layout


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EvalkitError(f"unknown device {one_line(name, 40)!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EvalkitError("device cuda was asked for, but torch sees no GPU: use --device cpu")
    return device


def _find(weights: str, revision: str | None) -> None:
    """Tell missing weights early: the library itself retries for half a minute before it gives up.

    Raises:
        EvalkitError: they are neither a folder, nor cached, nor on a hub that can be reached.
    """
    if Path(weights).is_dir():
        if not Path(weights, "config.json").is_file():
            raise EvalkitError(f"cannot load {weights}: the folder holds no config.json")
        return
    from huggingface_hub import HfApi, try_to_load_from_cache

    mend = f"give a folder, or download them where the hub can be reached (hf download {weights})"
    try:
        if not isinstance(try_to_load_from_cache(weights, "config.json", revision=revision), str):
            HfApi().model_info(weights, revision=revision, timeout=20)
    except Exception as error:
        raise EvalkitError(
            f"cannot find the weights {weights}: no such folder, not in the hub's cache, and the hub says "
            f"{one_line(error, 120)!r}; {mend}"
        ) from error


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Without the library's progress bar, which would tear evalkit's own."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
