"""Prompts without a gradient: counted, replaced by others as often as is wanted, and never more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import torch

from evalkit.errors import EvalkitError, InfrastructureError
from evalkit.records import (
    RECORD_VERSION,
    Outcome,
    Record,
    Sample,
    StopReason,
    Trajectory,
    Turn,
    Verdict,
)
from evalkit.training.config import Method, PolicySettings
from evalkit.training.figures import StepFigures
from evalkit.training.learner import Lesson, Update
from evalkit.training.processes import Alone
from evalkit.training.rehearsal import Rehearsal
from evalkit.training.rollout import Rollout
from evalkit.training.rollout import Sequence as Tokens

SAMPLES = [Sample(id=str(i), question="?") for i in range(20)]


def rollout(sample: Sample, verdict: Verdict) -> Rollout:
    turn = Turn(text="a")
    record = Record(
        version=RECORD_VERSION,
        sample=sample,
        trajectory=Trajectory(prompt="", stop=StopReason.ANSWERED, turns=(turn,)),
        outcome=Outcome(verdict=verdict, error="it broke" if verdict.is_error else ""),
    )
    written = torch.tensor([False, True])
    return Rollout(record, (Tokens(torch.tensor([1, 2]), written, torch.tensor([0.0, -0.5]), {}, {}),))


class Script:
    """Rollouts as a function of the sample says."""

    def __init__(self, verdicts: Any) -> None:
        self.verdicts = verdicts
        self.asked: list[list[str]] = []

    async def roll(self, samples: Sequence[Sample], group: int, step: int) -> list[list[Rollout]]:
        self.asked.append([sample.id for sample in samples])
        return [[rollout(sample, self.verdicts(sample, k)) for k in range(group)] for sample in samples]


class Pupil:
    """A learner that only notes its lessons."""

    def __init__(self) -> None:
        self.processes = Alone(torch.device("cpu"))
        self.lessons: list[Lesson] = []
        self.tokens: Any = None

    def lr(self, step: int) -> float:
        return 1.0

    def reinforce(self, lessons: Sequence[Lesson], tokens: Any, step: int) -> Update:
        self.lessons, self.tokens = list(lessons), tokens
        return Update(loss=0.5, grad_norm=1.0, lr=1.0)


def step(script: Script, **settings: Any) -> tuple[StepFigures, Pupil]:
    chosen: PolicySettings = msgspec.structs.replace(PolicySettings(prompts=4, group=4, method=Method.GRPO), **settings)
    pupil = Pupil()
    figures = asyncio.run(Rehearsal(pupil, chosen, SAMPLES, script, None).step(1))  # type: ignore[arg-type]
    return figures, pupil


def mixed(sample: Sample, k: int) -> Verdict:
    return Verdict.CORRECT if k % 2 else Verdict.INCORRECT


def right(sample: Sample, k: int) -> Verdict:
    return Verdict.CORRECT


def odd_mixed(sample: Sample, k: int) -> Verdict:
    return mixed(sample, k) if int(sample.id) % 2 else Verdict.INCORRECT


def test_mixed_prompts_are_all_learned() -> None:
    script = Script(mixed)
    figures, pupil = step(script)
    assert len(script.asked) == 1
    assert (figures.flat, figures.resampled, figures.learned, figures.rollouts) == (0, 0, 16, 16)
    assert len(pupil.lessons) == 16
    assert (pupil.tokens.accuracy, figures.tokens) == (16, 16)
    assert figures.entropy == pytest.approx(0.5)


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_flat_prompts_are_replaced_so_often_and_no_more(rounds: int) -> None:
    script = Script(right)
    figures, pupil = step(script, resample=rounds)
    assert len(script.asked) == rounds + 1
    asked = [id for ids in script.asked for id in ids]
    assert len(set(asked)) == len(asked) == 4 * (rounds + 1)
    assert figures.resampled == 4 * rounds
    assert figures.flat == figures.all_right == 4 * (rounds + 1)
    # nothing to learn is no failure, and every token that was kept counts
    assert (figures.learned, figures.loss, figures.grad_norm, figures.tokens) == (0, 0.0, 0.0, 16)
    assert pupil.lessons == []


def test_only_flat_prompts_are_replaced() -> None:
    script = Script(odd_mixed)
    figures, pupil = step(script, resample=10)
    first = [id for id in script.asked[0] if int(id) % 2]
    assert len(script.asked[1]) == 4 - len(first)
    assert figures.learned == len(pupil.lessons) == 16
    assert figures.all_wrong == figures.resampled
    assert figures.overall is not None
    assert figures.overall.rollouts == figures.rollouts == 16 + 4 * figures.resampled


def test_where_samples_run_out_flat_prompts_stay() -> None:
    script = Script(right)
    chosen = PolicySettings(prompts=4, group=4, resample=5)
    figures = asyncio.run(Rehearsal(Pupil(), chosen, SAMPLES[:6], script, None).step(1))  # type: ignore[arg-type]
    assert [len(ids) for ids in script.asked][:2] == [4, 2]
    assert figures.resampled == 2
    assert figures.tokens == 16


def test_with_a_divergence_flat_rollouts_are_learned_too() -> None:
    _, pupil = step(Script(right), resample=0, kl=0.1)
    assert len(pupil.lessons) == 16


def test_errors_are_left_out_and_counted() -> None:
    def some(sample: Sample, k: int) -> Verdict:
        return Verdict.SANDBOX_ERROR if k == 0 else mixed(sample, k)

    figures, pupil = step(Script(some))
    assert (figures.errors, figures.rollouts, len(pupil.lessons)) == (4, 16, 12)
    assert figures.overall is not None
    assert figures.overall.accuracy == pytest.approx(2 / 3)


def test_a_step_without_any_score_stops_with_the_reason() -> None:
    with pytest.raises(InfrastructureError, match="none of 32 rollouts could be scored, the first: it broke"):
        step(Script(lambda sample, k: Verdict.ENGINE_ERROR))


def test_a_sample_whose_data_is_broken_stops_with_its_name() -> None:
    with pytest.raises(EvalkitError, match=r"sample .*: it broke"):
        step(Script(lambda sample, k: Verdict.DATA_ERROR))
