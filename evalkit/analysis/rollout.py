"""One trajectory as the figures about tools, budgets and repeats see it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from evalkit.records import Outcome, Rule, Verdict
from evalkit.runs.stored import RAN

ONLY_RESPONSES = "only last responses are known, not what tools did"
"""Why nothing is said of the tool use of a trajectory that is not known whole."""


class Rollout(NamedTuple):
    """What is left of a record when texts are gone.

    Attributes:
        id: of the sample.
        category: of the sample.
        cluster: samples with equal clusters are not independent; a sample that names none is its own.
        options: the sample's choices; 0 for a free-form question.
        arm: see `Record`.
        repeat: see `Record`.
        right: under the rule asked for.
        answer: what that rule read; None when nothing.
        error: the harness failed, so that there is no score.
        calls: tool calls that really ran; None where only the last response is known.
        emitted: tool calls of any kind in the model's text; None where only the last response is known.
        tokens: generated over all turns; None where it is not known.
        seconds: from start to end; None where nobody measured it.
    """

    id: str
    category: str
    cluster: str
    options: int
    arm: str
    repeat: int
    right: bool
    answer: str | None
    error: bool
    calls: int | None
    emitted: int | None
    tokens: int | None
    seconds: float | None

    @property
    def luck(self) -> float:
        """Chance that the answer is right by guessing: 1 / options, and 0 without options or without an answer."""
        return 1 / self.options if self.options > 1 and (self.right or self.answer is not None) else 0.0


def rollouts_of(records: Iterable[Any], rule: Rule = Rule.STRICT) -> list[Rollout]:
    """The records, whole or light, as rollouts and in order."""
    return [rollout_of(record, rule) for record in records]


def rollout_of(record: Any, rule: Rule = Rule.STRICT) -> Rollout:
    """What is left of a `Record` or a `LightRecord`."""
    sample, trajectory, outcome = record.sample, record.trajectory, record.outcome
    emitted = [call.status in RAN for turn in trajectory.turns for call in turn.calls]
    tokens = [turn.usage.completion_tokens for turn in trajectory.turns]
    known = not trajectory.partial
    return Rollout(
        id=sample.id,
        category=sample.category,
        cluster=sample.cluster or sample.id,
        options=len(sample.choices),
        arm=record.arm,
        repeat=record.repeat,
        right=outcome.right(rule),
        answer=_answer(outcome, rule),
        error=outcome.verdict.is_error,
        calls=sum(emitted) if known else None,
        emitted=len(emitted) if known else None,
        tokens=_total(tokens) if known else None,
        seconds=trajectory.total_s if trajectory.total_s is not None and math.isfinite(trajectory.total_s) else None,
    )


def _answer(outcome: Outcome, rule: Rule) -> str | None:
    """What the rule took for an answer; a text that is no choice, or an answer after a limit, is none."""
    if rule is Rule.OFFICIAL:
        return outcome.official_answer
    return outcome.answer if outcome.verdict in (Verdict.CORRECT, Verdict.INCORRECT) else None


def _total(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
