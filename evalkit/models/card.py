"""A model card, and how a `--model` argument becomes one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evalkit.agents.limits import Limits
from evalkit.engines.base import Sampling
from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.secrets import is_secret
from evalkit.yaml_text import parse_yaml

ENGINES = ("transformers", "vllm", "openai", "scripted", "replay")
IN_PROCESS = ("transformers", "vllm")
"""Engines that load the weights here, so that a card's dtype and pixel bounds apply."""


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where weights come from.

    Attributes:
        hub: Hugging Face id.
        folder: a local folder; in a card, relative to the card.
        revision: commit or tag on the hub.
        dtype: in which they are loaded: "auto", "float32", "bfloat16", "float16".
        size_gb: download size.
    """

    hub: str = ""
    folder: str = ""
    revision: str | None = None
    dtype: str = "auto"
    size_gb: float | None = None

    @property
    def location(self) -> str:
        """What an engine loads: the folder, else the hub id; empty for a model that is only served."""
        return self.folder or self.hub


class Mark(StrEnum):
    """How a card knows something."""

    CODE = "code"
    """Read in the authors' code."""
    TABLE = "table"
    """Read in their tables, README, figures or report."""
    THIRD_PARTY = "third party"
    """Read elsewhere."""
    INFERRED = "inferred"
    """Arithmetic or deduction."""
    EVALKIT = "evalkit"
    """Evalkit's choice, for want of the authors'."""


class Judge(StrEnum):
    """What scored the authors' published figures."""

    RULE = "rule"
    MODEL = "model"
    """A language model, for some of them at least."""
    UNKNOWN = "unknown"


class Needs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to run the model, and to score it as its authors did.

    Attributes:
        gpu_gb: GPU memory for the weights; 0 for a model that runs on a CPU.
        judge: see `Judge`; evalkit's own rules need none.
    """

    gpu_gb: float = 0.0
    judge: Judge = Judge.UNKNOWN


class Pixels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Area bounds (pixels) of an image as the model sees it; None leaves the processor's own."""

    min: int | None = None
    max: int | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is reached at a server of its authors.

    Attributes:
        model: the server's name for it.
        base_url_env: name of the environment variable with the base URL, for where `--base-url` is not given.
        api_key_env: name of the environment variable with the key.
        fields: of the server's own API, sent with every request.
    """

    model: str = ""
    base_url_env: str = ""
    api_key_env: str = ""
    fields: dict[str, bool | int | float | str] = {}


class VllmArgs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the `vllm` engine loads the weights.

    Attributes:
        tensor_parallel: GPUs to split the model over.
        max_model_len: context in tokens; None is the model's own.
        memory_share: share of a GPU's memory that vLLM takes, above 0 and at most 1; None is vLLM's default.
        enforce_eager: no CUDA graphs and no compilation: starts faster, runs slower.
    """

    tensor_parallel: Annotated[int, msgspec.Meta(ge=1)] = 1
    max_model_len: Annotated[int, msgspec.Meta(ge=1)] | None = None
    memory_share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    enforce_eager: bool = False


class TransformersArgs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the `transformers` engine runs the weights.

    Attributes:
        attention: "sdpa", "eager" or "flash_attention_2".
        compiled: through `torch.compile`: slow to start, then faster.
    """

    attention: str = "sdpa"
    compiled: bool = False


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is known of a model as an agent.

    Attributes:
        name: what `--model` takes.
        summary: one line for `evalkit models`.
        engine: the default engine.
        protocol: name of its protocol.
        tools: those of the protocol's tools that the model was trained with; None for all.
        published: its name among the published figures (`evalkit baselines`), which a run should reproduce.
        family: the weights' architecture, as config.json's `model_type` has it ("qwen3_vl"); what a served
            model's processor makes of an image is computed from it.
        vllm: how the `vllm` engine loads the weights.
        transformers: how the `transformers` engine runs them.
        marks: how the card knows what it says: name of a field ("limits.turns"; "limits" for all that is not
            named on its own) to `Mark`.
        unknown: what the authors have not published, said plainly.
        source: where the card's facts come from.
    """

    name: str
    summary: str = ""
    engine: str = "transformers"
    protocol: str = "direct"
    tools: tuple[str, ...] | None = None
    published: str = ""
    weights: Weights = Weights()
    served: Served = Served()
    needs: Needs = Needs()
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    pixels: Pixels = Pixels()
    family: str = ""
    vllm: VllmArgs = VllmArgs()
    transformers: TransformersArgs = TransformersArgs()
    marks: dict[str, Mark] = {}
    unknown: tuple[str, ...] = ()
    source: str = ""


def load_card(path: Path) -> ModelCard:
    """Read a card file (YAML).

    Raises:
        EvalkitError: not readable, not YAML, or a key that cards do not have; the message names it.
    """
    try:
        card = msgspec.convert(parse_yaml(path.read_bytes()), ModelCard)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise EvalkitError(f"model card {path}: {one_line(error)}") from error
    if secret := next(filter(is_secret, card.served.fields), None):
        raise EvalkitError(
            f"model card {path}: served.fields are recorded with every run, and {secret!r} looks like a secret; put it "
            "into an environment variable and name that in served.api_key_env"
        )
    if card.engine not in ENGINES:
        raise unknown(f"engine in model card {path}", card.engine, ENGINES, "evalkit run --help")
    fields = dict(_fields(msgspec.to_builtins(card)))
    for name in card.marks:
        if name not in fields:
            raise unknown(f"field that model card {path} marks", name, fields, "evalkit models NAME")
    if card.weights.folder:
        folder = str((path.parent / card.weights.folder).resolve())
        card = msgspec.structs.replace(card, weights=msgspec.structs.replace(card.weights, folder=folder))
    return card


def _fields(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a card as ("limits.turns", value), groups of fields too."""
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping) and not prefix:
            yield from _fields(value, f"{key}.")


@functools.cache
def cards() -> Mapping[str, ModelCard]:
    """The shipped cards by name."""
    found = [load_card(path) for path in sorted(Path(__file__).parent.glob("*.yaml"))]
    return {card.name: card for card in found}


def find_card(model: str, engine: str | None = None) -> ModelCard:
    """The card for a `--model` argument.

    It may be a shipped card's name, a card file, a folder of weights, a hub id ("owner/name"), or, with an
    engine that needs no weights here, any name (for `openai`, the served model's).

    Raises:
        EvalkitError: it is none of these; the message has the nearest names.
    """
    if engine is not None and engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, "evalkit run --help")
    path = Path(model)
    if model in cards():
        card = cards()[model]
    elif path.suffix in (".yaml", ".yml"):
        card = load_card(path)
    elif (path / "config.json").is_file():
        card = ModelCard(name=path.resolve().name, weights=Weights(folder=str(path.resolve())))
    elif engine in ("openai", "scripted", "replay"):
        card = ModelCard(name=model, engine=engine)
    elif model.count("/") == 1 and not path.exists() and not model.startswith((".", "/")):
        card = ModelCard(name=model, weights=Weights(hub=model))
    elif path.is_dir():
        raise EvalkitError(f"--model {model}: the folder has no config.json, so it holds no model")
    else:
        raise unknown("model", model, cards(), "evalkit models")
    return msgspec.structs.replace(card, engine=engine or card.engine)
