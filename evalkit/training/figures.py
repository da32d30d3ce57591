"""What one step of a training was like, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Rollouts of one category of samples; each figure is the mean over those that could be scored.

    Attributes:
        rollouts: how many those are.
        accuracy: share that is right.
        tool_rate: share with at least one dispatched call.
        calls: dispatched calls.
    """

    rollouts: int
    accuracy: float
    tool_rate: float
    calls: float


class StepFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step; a figure that a method does not have is None.

    Attributes:
        step: from 1.
        loss: what the step's gradient is of, by the weights before it.
        grad_norm: of the gradient before it is clipped; 0 where the step had none.
        lr: learning rate.
        tokens: tokens that the model wrote and the loss may count, over all processes.
        learned: trajectories that the gradient is made of.
        loss_accuracy: loss of the accuracy channel, without its weight.
        loss_tool: loss of the tool channel, without its weight.
        clipped_accuracy: share of the accuracy channel's tokens that the clip bounds, mean over updates.
        clipped_tool: share of the tool channel's.
        kl: mean divergence from the model at the start, per token.
        entropy: mean of -log p over the drawn tokens: an estimate of the policy's entropy, nats per token.
        gap: mean difference between a token's log-probability when it was drawn and when it was learned, of absolute
            values: how far the two computations of one policy are apart.
        overall: all rollouts that could be scored.
        well_formed: share of them that came to an answer, with calls that could be read.
        categories: the same by category of the samples.
        rollouts: all that were drawn.
        errors: of them, those that could not be scored: they are left out.
        all_right: prompts whose rollouts were all right.
        all_wrong: prompts whose rollouts were all wrong.
        flat: prompts whose rollouts gave no gradient.
        resampled: of those, prompts that another took the place of.
        rollout_s: seconds of drawing rollouts.
        update_s: seconds of computing and applying the gradient.
    """

    step: int
    loss: float
    grad_norm: float
    lr: float
    tokens: int
    learned: int
    loss_accuracy: float | None = None
    loss_tool: float | None = None
    clipped_accuracy: float | None = None
    clipped_tool: float | None = None
    kl: float | None = None
    entropy: float | None = None
    gap: float | None = None
    overall: Part | None = None
    well_formed: float | None = None
    categories: dict[str, Part] = {}
    rollouts: int = 0
    errors: int = 0
    all_right: int = 0
    all_wrong: int = 0
    flat: int = 0
    resampled: int = 0
    rollout_s: float = 0.0
    update_s: float = 0.0

    def scalars(self) -> dict[str, float]:
        """Every number by its path, e.g. `categories/legible/accuracy`."""
        return dict(_numbers(msgspec.to_builtins(self), ""))


class TrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a training.

    Attributes:
        steps: the figures of this start's steps, in order.
        done: steps there are in all, earlier starts' among them.
        stopped: whether it was asked to stop before its end.
    """

    steps: Sequence[StepFigures]
    done: int
    stopped: bool = False


def mean_over(parts: Sequence[Part]) -> Part | None:
    """All rollouts of several parts as one; None without any."""
    count = sum(part.rollouts for part in parts)
    if not count:
        return None

    def mean(values: Sequence[float]) -> float:
        return sum(value * part.rollouts for value, part in zip(values, parts, strict=True)) / count

    return Part(
        rollouts=count,
        accuracy=mean([part.accuracy for part in parts]),
        tool_rate=mean([part.tool_rate for part in parts]),
        calls=mean([part.calls for part in parts]),
    )


def _numbers(tree: Any, path: str) -> list[tuple[str, float]]:
    if isinstance(tree, dict):
        return [
            number for name, value in tree.items() for number in _numbers(value, f"{path}/{name}" if path else name)
        ]
    return [] if tree is None or isinstance(tree, str) else [(path, float(tree))]
