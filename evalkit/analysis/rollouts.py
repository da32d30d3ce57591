"""Several rollouts of each sample: pass@k, mean of k, majority, and how much of the spread is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from evalkit import stats
from evalkit.analysis.figure import Figure, bounded_mean, codes_of, figure, share_of
from evalkit.analysis.rollout import Rollout, rollouts_of
from evalkit.records import AGENT, Record, Rule
from evalkit.stats import StatsUnavailable

if TYPE_CHECKING:
    from evalkit.analysis.figure import Codes


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """Where the variance of a single answer comes from.

    Attributes:
        between: variance of the samples' own chances to be right; None where it is not available.
        within: variance of repeated answers to one sample.
        error: standard error of the mean of k from these two, samples taken as independent.
        error_once: the same for one answer per sample: what the repeats bought.
        why: what stands after "not available, because".
    """

    between: float | None = None
    within: float | None = None
    error: float | None = None
    error_once: float | None = None
    why: str = ""


class RolloutFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of `--repeats k`. Errors have no score and leave their sample with fewer answers.

    Attributes:
        repeats: k.
        samples: with at least one scored answer.
        short: of them, those with fewer than k.
        mean: share of all answers that are right; every answer counts once.
        pass_at: number of tries to the chance that at least one of so many is right, over samples with as many.
        all_of_k: chance that all k are right.
        majority: the answer given most often is right; a tie, or no answer at all, is not. Over samples with all k.
        ties: samples in which no answer was given most often.
        consistency: chance that two answers to a sample agree in being right or wrong.
        agreement: chance that two answers to a sample are the same (letter by letter), or both missing.
        variation: between samples and within them.
        efficiency: mean of 1 / (T + 1) over right rollouts, T calls that really ran.
    """

    repeats: int
    samples: int
    short: int
    mean: Figure
    pass_at: dict[int, Figure]
    all_of_k: Figure
    majority: Figure
    ties: int
    consistency: Figure
    agreement: Figure
    variation: Variation
    efficiency: Figure


def rollout_figures(records: Iterable[Record], rule: Rule = Rule.STRICT, arm: str = AGENT) -> RolloutFigures | None:
    """The figures over the repeats of one arm; None where no sample was run twice in it.

    Source: pass@k: arXiv 2107.03374; all of k: arXiv 2406.12045; majority: arXiv 2203.11171; 1/(T+1): arXiv
    2604.08545; see `stats` for each formula.

    Args:
        records: of one run, one per key.
        rule: whose verdicts.
        arm: which trajectories.
    """
    return figures_of(rollouts_of(records, rule), arm)


def figures_of(rollouts: Iterable[Rollout], arm: str = AGENT) -> RolloutFigures | None:
    """See `rollout_figures`."""
    groups: dict[str, list[Rollout]] = {}
    repeats = 0
    for one in rollouts:
        if one.arm == arm:
            repeats = max(repeats, one.repeat + 1)
            if not one.error:
                groups.setdefault(one.id, []).append(one)
    if repeats < 2:
        return None
    samples = list(groups.values())
    whole = [rows for rows in samples if len(rows) == repeats]
    several = [rows for rows in samples if len(rows) > 1]
    answers = [one for rows in samples for one in rows]
    right = [one for one in answers if one.right and one.calls is not None]
    return RolloutFigures(
        repeats=repeats,
        samples=len(samples),
        short=len(samples) - len(whole),
        mean=figure(
            lambda: share_of([one.right for one in answers], codes_of([one.cluster for one in answers])), len(answers)
        ),
        pass_at={tries: _pass(samples, tries) for tries in _tries(repeats)},
        all_of_k=_over(whole, lambda rows: float(all(one.right for one in rows)), repeats),
        majority=_over(whole, lambda rows: float(majority_right(rows) is True), repeats),
        ties=sum(majority_right(rows) is None for rows in whole),
        consistency=_over(several, lambda rows: _equal([one.right for one in rows]), 2),
        agreement=_over(several, lambda rows: _equal([one.answer for one in rows]), 2),
        variation=_variation(samples, repeats),
        efficiency=figure(lambda: _efficiency(right), len(right)),
    )


def majority_right(rows: Sequence[Rollout]) -> bool | None:
    """Whether the answer that one sample's rollouts give most often is right; None on a tie, or without an answer."""
    winner = stats.majority([one.answer for one in rows if one.answer is not None])
    return None if winner is None else any(one.right for one in rows if one.answer == winner)


def _tries(repeats: int) -> list[int]:
    """1, 2, 4, ... and k itself."""
    return sorted({2**i for i in range(repeats.bit_length()) if 2**i <= repeats} | {repeats})


def _clusters(samples: Sequence[Sequence[Rollout]]) -> Codes:
    return codes_of([rows[0].cluster for rows in samples])


def _pass(samples: Sequence[Sequence[Rollout]], tries: int) -> Figure:
    enough = [rows for rows in samples if len(rows) >= tries]
    if not enough:
        return Figure(why=f"no sample has {tries} scored answers")
    chances = stats.pass_at_k(
        [sum(one.right for one in rows) for rows in enough], [len(rows) for rows in enough], tries
    )
    return figure(lambda: bounded_mean([float(chance) for chance in chances], _clusters(enough)), len(enough))


def _over(samples: Sequence[Sequence[Rollout]], value: Callable[[Sequence[Rollout]], float], answers: int) -> Figure:
    """Mean over samples of a value between 0 and 1."""
    if not samples:
        return Figure(why=f"no sample has {answers} scored answers")
    return figure(lambda: bounded_mean([value(rows) for rows in samples], _clusters(samples)), len(samples))


def _equal(values: Sequence[Hashable]) -> float:
    """Chance that two of the values are equal."""
    same = sum(count * (count - 1) for count in Counter(values).values())
    return same / (len(values) * (len(values) - 1))


def _efficiency(right: Sequence[Rollout]) -> Figure:
    if not right:
        raise StatsUnavailable("no rollout of which the calls are known is right")
    return bounded_mean([1 / (1 + (one.calls or 0)) for one in right], codes_of([one.cluster for one in right]))


def _variation(samples: Sequence[Sequence[Rollout]], repeats: int) -> Variation:
    try:
        split = stats.variance_split([sum(one.right for one in rows) for rows in samples], [len(r) for r in samples])
    except StatsUnavailable as error:
        return Variation(why=error.reason)
    return Variation(
        between=split.between,
        within=split.within,
        error=split.standard_error(len(samples), repeats),
        error_once=split.standard_error(len(samples), 1),
    )
