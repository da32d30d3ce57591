"""What a training is: its settings, and what they add up to."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.hdpo.settings import LossSettings, TokenMean
from evalkit.records import Rule
from evalkit.yaml_text import parse_yaml

_SEED = 2**63 - 1
"""The largest that torch takes."""

Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Momentum = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Method(StrEnum):
    """What a training learns from."""

    SFT = "sft"
    """Recorded trajectories."""
    HDPO = "hdpo"
    """Its own rollouts: accuracy and tool efficiency in channels of their own (arXiv 2604.08545)."""
    GRPO = "grpo"
    """Its own rollouts: accuracy alone."""
    COUPLED = "coupled"
    """Its own rollouts: accuracy less a penalty for each call, in one reward."""


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every method has.

    Attributes:
        lr: learning rate of AdamW once it is warm; it stays there.
        warmup: steps over which it rises evenly from nothing.
        beta1: AdamW's decay of the gradient's mean.
        beta2: AdamW's decay of its square's mean.
        weight_decay: AdamW's.
        grad_clip: largest norm of a step's gradient.
        seed: all random numbers follow from it.
        lora: rank of LoRA matrices on the language model's linear layers; 0 trains all weights.
        bf16: matrix products in bfloat16; the weights that are trained stay float32.
        gradient_checkpointing: compute activations twice instead of keeping them.
        forward_tokens: tokens of one forward pass, padding included, at most; more need more memory.
    """

    lr: Positive
    warmup: Natural = 5
    beta1: Momentum = 0.9
    beta2: Momentum = 0.95
    weight_decay: Weight = 0.0
    grad_clip: Positive = 1.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=_SEED)] = 0
    lora: Natural = 0
    bf16: bool = False
    gradient_checkpointing: bool = False
    forward_tokens: Count = 8192

    def __post_init__(self) -> None:
        for name in _FINITE:
            if abs(getattr(self, name, 0.0)) == math.inf:
                raise ValueError(f"{name} is infinite: give a number")


_FINITE = ("lr", "weight_decay", "w_accuracy", "w_tool", "penalty", "kl", "temperature")


class PolicySettings(TrainSettings, frozen=True, kw_only=True):
    """Learning from the model's own rollouts.

    Attributes:
        method: "hdpo", "grpo" or "coupled".
        steps: batches of rollouts.
        prompts: prompts a step, over all processes.
        group: rollouts a prompt.
        updates: updates of the weights a batch; with one, the clip never binds.
        w_accuracy: weight of the accuracy channel.
        w_tool: weight of the tool channel, for "hdpo".
        tool_tokens: which tokens the tool channel's mean is over, see `evalkit.hdpo.LossSettings`.
        penalty: taken off the reward for each call, for "coupled".
        divide: divide advantages by their group's standard deviation.
        answer_share: share of the accuracy reward that the answer has; the rest is for its form.
        clip_low: how far below 1 a probability ratio counts.
        clip_high: how far above 1 it counts.
        kl: weight of the divergence from the model at the start.
        temperature: at which rollouts are drawn, and at which their probabilities are learned.
        resample: how often a step replaces prompts whose rollouts give no gradient; those left then are kept.
    """

    lr: Positive = 1e-6
    method: Method = Method.HDPO
    steps: Count = 120
    prompts: Count = 8
    group: Annotated[int, msgspec.Meta(ge=2)] = 8
    updates: Count = 1
    w_accuracy: Weight = 1.0
    w_tool: Weight = 0.15
    tool_tokens: TokenMean = "qualifying"
    penalty: Weight = 0.1
    divide: bool = True
    answer_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9
    clip_low: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    clip_high: Positive = 0.2
    kl: Weight = 0.0
    temperature: Positive = 1.0
    resample: Natural = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == Method.SFT:
            raise ValueError("sft learns from recorded trajectories: it has no rollouts")

    @property
    def tool_weight(self) -> float:
        """Weight of the tool channel; 0 for the methods without one."""
        return self.w_tool if self.method == Method.HDPO else 0.0

    @property
    def loss(self) -> LossSettings:
        """The loss over the two channels."""
        return LossSettings(
            w_accuracy=self.w_accuracy,
            w_tool=self.tool_weight,
            clip_low=self.clip_low,
            clip_high=self.clip_high,
            kl=self.kl,
            tool_tokens=self.tool_tokens,
        )


class SftSettings(TrainSettings, frozen=True, kw_only=True):
    """Learning from recorded trajectories.

    Attributes:
        method: "sft".
        steps: updates of the weights; None goes once through the data.
        batch: trajectories a step, over all processes.
        right_only: leave out trajectories whose answer is wrong.
        rule: whose verdict says so.
    """

    lr: Positive = 1e-5
    method: Method = Method.SFT
    steps: Count | None = None
    batch: Count = 32
    right_only: bool = True
    rule: Rule = Rule.STRICT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method != Method.SFT:
            raise ValueError(f"{self.method} learns from rollouts")


S = TypeVar("S", bound=TrainSettings)
RUNNING = ("steps", "forward_tokens")
"""Settings that a training may go on with another value of: they change how long or how, not what is learned."""


def settings_from(kind: type[S], file: Path | None, given: dict[str, Any]) -> S:
    """The settings of a file (YAML) with those given put over them.

    Args:
        kind: which.
        file: None for the defaults.
        given: by name; None leaves one open.

    Raises:
        EvalkitError: the file cannot be read, or a setting is unknown or out of its range; the message names it.
    """
    values = _read(file) if file is not None else {}
    known = [field.name for field in msgspec.structs.fields(kind)]
    for name in values:
        if name not in known:
            raise unknown(f"setting in {file}", str(name), known, "evalkit train --help")
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise EvalkitError(f"training settings: {one_line(error)}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        values = parse_yaml(file.read_bytes()) or {}
    except (OSError, ValueError) as error:
        raise EvalkitError(f"--config {file}: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise EvalkitError(f"--config {file}: it must be a list of settings, a line each (name: value)")
    return values


def method_of(named: str | None, file: Path | None) -> Method:
    """The method that a command names, else its file of settings.

    Raises:
        EvalkitError: neither does, or it does not exist.
    """
    name = named or (_read(file).get("method") if file is not None else None)
    if name is None:
        raise EvalkitError(f"--method is missing: one of {', '.join(Method)}")
    if name not in list(Method):
        raise unknown("method", str(name), Method, "evalkit train --help")
    return Method(name)
