"""From the rollouts of a prompt to what each of them is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from evalkit.hdpo import Channels, accuracy_reward, coupled_reward, group_advantages, hdpo_advantages, tool_reward
from evalkit.records import CallStatus, Record, Sample, StopReason
from evalkit.training.config import Method, PolicySettings
from evalkit.training.figures import Part
from evalkit.training.rollout import Rollout


@dataclass(frozen=True)
class Group:
    """The rollouts of one prompt that could be scored, with their advantages.

    Attributes:
        sample: the prompt.
        rollouts: scored ones alone: an error of the harness is no wrong answer.
        errors: rollouts that could not be scored.
        right: whether each rollout's answer is.
        calls: dispatched calls of each.
        well_formed: see `well_formed`.
        channels: (rollouts,) advantages each.
        weights: of the two channels.
    """

    sample: Sample
    rollouts: tuple[Rollout, ...]
    errors: tuple[Rollout, ...]
    right: tuple[bool, ...]
    calls: tuple[int, ...]
    well_formed: tuple[bool, ...]
    channels: Channels
    weights: tuple[float, float]

    @cached_property
    def live(self) -> list[bool]:
        """Which rollouts have a gradient."""
        size = self.channels.accuracy.abs() * self.weights[0] + self.channels.tool.abs() * self.weights[1]
        return [bool(value) for value in size != 0]

    @property
    def uniform(self) -> bool | None:
        """Whether all are right (True) or all wrong (False); None for a mix, and without any."""
        return self.right[0] if self.right and len(set(self.right)) == 1 else None


def groups_of(samples: Sequence[Sample], drawn: Sequence[Sequence[Rollout]], settings: PolicySettings) -> list[Group]:
    """The groups of several prompts.

    A single scored rollout has nothing to be compared with: such a group is empty.

    Args:
        samples: the prompts.
        drawn: rollouts of each.
        settings: of the training.
    """
    found: list[_Scored] = []
    for sample, rollouts in zip(samples, drawn, strict=True):
        errors = tuple(rollout for rollout in rollouts if rollout.record.outcome.verdict.is_error)
        scored = tuple(rollout for rollout in rollouts if not rollout.record.outcome.verdict.is_error)
        scored = scored if len(scored) > 1 else ()
        records = [rollout.record for rollout in scored]
        right = tuple(record.outcome.right() for record in records)
        calls = tuple(map(dispatched, records))
        found.append(_Scored(sample, scored, errors, right, calls, tuple(map(well_formed, records))))
    # all prompts at once: each call costs more than its few numbers
    channels = _advantages(found, settings)
    sizes = [len(scored.rollouts) for scored in found]
    parts = zip(*(torch.split(channel, sizes) for channel in channels), strict=True)
    weights = (settings.w_accuracy, settings.tool_weight)
    return [Group(*scored, Channels(*part), weights) for scored, part in zip(found, parts, strict=True)]


def dispatched(record: Record) -> int:
    """Calls of a trajectory that a tool really ran."""
    return sum(call.status.dispatched for call in record.trajectory.calls)


def well_formed(record: Record) -> bool:
    """Whether a trajectory came to the protocol's answer, and every call in it could be read."""
    read = (call.status not in (CallStatus.MALFORMED, CallStatus.UNKNOWN_TOOL) for call in record.trajectory.calls)
    return record.trajectory.stop is StopReason.ANSWERED and all(read)


def parts_of(groups: Sequence[Group]) -> dict[str, Part]:
    """Figures by category of the samples, those without a category under ""."""
    by_category: dict[str, list[tuple[bool, int]]] = {}
    for group in groups:
        by_category.setdefault(group.sample.category, []).extend(zip(group.right, group.calls, strict=True))
    return {name: _part(rows) for name, rows in sorted(by_category.items()) if rows}


def _part(rows: Sequence[tuple[bool, int]]) -> Part:
    return Part(
        rollouts=len(rows),
        accuracy=sum(right for right, _ in rows) / len(rows),
        tool_rate=sum(calls > 0 for _, calls in rows) / len(rows),
        calls=sum(calls for _, calls in rows) / len(rows),
    )


class _Scored(NamedTuple):
    """The first fields of a `Group`."""

    sample: Sample
    rollouts: tuple[Rollout, ...]
    errors: tuple[Rollout, ...]
    right: tuple[bool, ...]
    calls: tuple[int, ...]
    well_formed: tuple[bool, ...]


def _advantages(found: Sequence[_Scored], settings: PolicySettings) -> Channels:
    prompt = torch.tensor([i for i, scored in enumerate(found) for _ in scored.rollouts], dtype=torch.long)
    correct = torch.tensor([value for scored in found for value in scored.right], dtype=torch.float64)
    calls = torch.tensor([value for scored in found for value in scored.calls], dtype=torch.float64)
    form = torch.tensor([value for scored in found for value in scored.well_formed], dtype=torch.float64)
    if not len(prompt):
        return Channels(accuracy=correct, tool=correct)
    reward = accuracy_reward(correct, form, answer_share=settings.answer_share)
    if settings.method == Method.COUPLED:
        reward = coupled_reward(reward, calls, settings.penalty)
    if settings.method != Method.HDPO:
        alone = group_advantages(reward, prompt, divide=settings.divide)
        return Channels(accuracy=alone, tool=torch.zeros_like(alone))
    return hdpo_advantages(reward, tool_reward(correct, calls), correct, prompt, divide=settings.divide)
