"""Prompts that a policy gets right at times and wrong at others: only there do its rollouts differ in reward."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from evalkit.curation.prompts import Prompt
from evalkit.curation.report import Table
from evalkit.curation.source import Sifted
from evalkit.errors import EvalkitError
from evalkit.records import Rule

NAME = "mixed rollouts"
EXPLAINED = (
    "Of the G rollouts of a prompt the share that is right must lie strictly between two limits (by default 0 and 1): "
    "where all are right or all wrong, the group's advantages are zero and nothing is learned. Rollouts in which the "
    "harness failed have no score and are not counted as wrong; where scores are missing, a prompt is kept or dropped "
    "only if the missing ones could not change it, and else it is an error (incomplete_group)."
)
DIFFICULTY = "Difficulty"
"""Title of the histogram."""
_BAR = 30


class MixSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a mix.

    Attributes:
        above: share of right rollouts that a prompt must exceed, 0..1.
        below: share that it must stay under, 0..1.
        group: G, rollouts that a prompt should have; None takes the most that any prompt has.
        rule: whose verdict says that an answer is right.
    """

    above: float = 0.0
    below: float = 1.0
    group: int | None = None
    rule: Rule = Rule.STRICT


class Reason(StrEnum):
    """Why a prompt is no mix."""

    ALL_RIGHT = "all_right"
    ALL_WRONG = "all_wrong"
    TOO_EASY = "too_easy"
    TOO_HARD = "too_hard"
    INCOMPLETE = "incomplete_group"


class Score(NamedTuple):
    """A prompt's group.

    Attributes:
        right: rollouts.
        scored: rollouts with a score; those in which the harness failed have none.
        group: rollouts it should have.
    """

    right: int
    scored: int
    group: int


def check(settings: MixSettings) -> None:
    """Whether the limits make sense.

    Raises:
        EvalkitError: they do not.
    """
    if not 0 <= settings.above < settings.below <= 1:
        raise EvalkitError(f"shares of right rollouts: 0 <= {settings.above:g} < {settings.below:g} <= 1 does not hold")
    if settings.group is not None and settings.group < 2:
        raise EvalkitError(f"a group of {settings.group} rollouts cannot be a mix of right and wrong: at least 2")


def group_size(prompts: Sequence[Prompt], settings: MixSettings) -> int:
    """G.

    Raises:
        EvalkitError: no prompt has more than one rollout; the message has the command that makes more.
    """
    most = max((len(prompt.rollouts) for prompt in prompts), default=0)
    if most < 2:
        run = prompts[0].run if prompts else None
        name = f"--model {run.model} --tasks {run.task} " if run else ""
        raise EvalkitError(
            "there is one rollout of each prompt, which cannot be a mix of right and wrong; make more: "
            f"evalkit run {name}--repeats 8 --temperature 1"
        )
    return settings.group or most


def mixed(prompts: Sequence[Prompt], settings: MixSettings) -> Sifted[Prompt]:
    """Keep the prompts whose rollouts are a real mix.

    Each prompt's `found` gets `right`, `scored` and `group`.

    Raises:
        EvalkitError: see `group_size`, `check`.
    """
    check(settings)
    group = group_size(prompts, settings)
    sifted = Sifted[Prompt]([], [])
    for prompt in prompts:
        score = score_of(prompt, group, settings.rule)
        prompt.found.update(score._asdict())
        reason = _reason(score, settings)
        if reason is None:
            sifted.kept.append(prompt)
        else:
            detail = f"{score.right} of {score.scored} scored rollouts are right, {score.group} expected"
            sifted.out.append(prompt.fate(NAME, reason.value, detail, error=reason is Reason.INCOMPLETE))
    return sifted


def score_of(prompt: Prompt, group: int, rule: Rule = Rule.STRICT) -> Score:
    """How many of a prompt's rollouts are right."""
    outcomes = [entry.record.outcome for entry in prompt.rollouts]
    scored = [outcome.right(rule) for outcome in outcomes if not outcome.verdict.is_error]
    return Score(sum(scored), len(scored), max(group, len(scored)))


def _reason(score: Score, settings: MixSettings) -> Reason | None:
    # what the share would be if all missing scores were wrong, and if all were right
    low, high = score.right / score.group, (score.right + score.group - score.scored) / score.group
    if settings.above < low and high < settings.below:
        return None
    if low >= settings.below:
        return Reason.ALL_RIGHT if low == 1 else Reason.TOO_EASY
    if high <= settings.above:
        return Reason.ALL_WRONG if high == 0 else Reason.TOO_HARD
    return Reason.INCOMPLETE


def histogram(prompts: Sequence[Prompt], settings: MixSettings, kept: Sequence[Prompt]) -> tuple[Table, ...]:
    """How hard the prompts are: by the number of right rollouts, and by category.

    Args:
        prompts: that the filter saw.
        settings: of the filter.
        kept: those of them that are in the data set at the end.
    """
    group = group_size(prompts, settings)
    scores = [(prompt, score_of(prompt, group, settings.rule)) for prompt in prompts]
    whole = [(prompt, score) for prompt, score in scores if score.scored == score.group == group]
    ids = {id(prompt) for prompt in kept}
    counts = [sum(score.right == right for _, score in whole) for right in range(group + 1)]
    chosen = [sum(score.right == right and id(p) in ids for p, score in whole) for right in range(group + 1)]
    most = max(counts, default=0) or 1
    rows = [
        (f"{right} of {group}", counts[right], chosen[right], "█" * -(-counts[right] * _BAR // most))
        for right in range(group + 1)
    ]
    short = len(scores) - len(whole)
    others = f"{short} prompts have another number of scored rollouts and are not in it. " if short else ""
    return (
        Table(
            title=DIFFICULTY,
            head=("right rollouts", "prompts", "in the data set", ""),
            rows=tuple(rows),
            note=f"{others}Prompts that came to the filter, by how many of their {group} rollouts are right.",
        ),
        _by_category(scores, ids),
    )


def _by_category(scores: Sequence[tuple[Prompt, Score]], kept: set[int]) -> Table:
    groups: dict[str, list[tuple[Prompt, Score]]] = {}
    for prompt, score in scores:
        groups.setdefault(prompt.sample.category or "(none)", []).append((prompt, score))
    rows = []
    for name, members in sorted(groups.items()):
        right, scored = sum(s.right for _, s in members), sum(s.scored for _, s in members)
        chosen = sum(id(prompt) in kept for prompt, _ in members)
        share: str | float = right / scored if scored else "no score"
        rows.append((name, len(members), chosen, share))
    return Table(
        title="Difficulty by category",
        head=("category", "prompts", "in the data set", "share of rollouts right"),
        rows=tuple(rows),
        note="Before the filter of mixed rollouts; every scored rollout counts once.",
    )
