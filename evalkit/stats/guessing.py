"""How much of a score on multiple choice is more than lucky guesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, cluster_codes, numbers, same_length
from evalkit.stats._special import Floats
from evalkit.stats.intervals import Interval
from evalkit.stats.means import share
from evalkit.stats.passk import right_of
from evalkit.stats.unavailable import StatsUnavailable

_SURE = 1e-6


@dataclass(frozen=True, slots=True)
class ChanceCorrected:
    """A share of samples that are solved by more than luck.

    Attributes:
        value: corrected share, kept within [0, 1].
        raw: the same before that; below 0 where fewer were right than guessing gives.
        interval: of the corrected share, within [0, 1]; contains `value`.
        observed: share before the correction.
        chance: share that guessing alone would give.
        n: samples.
        method: what was counted, and the interval it came from.
    """

    value: float
    raw: float
    interval: Interval
    observed: float
    chance: float
    n: int
    method: str


def correct_for_guessing(observed: float, chance: float) -> float:
    """(p - g) / (1 - g): the share known, if what is not known is guessed and right with probability g.

    With m options g is 1 / m. Negative where fewer are right than by guessing.

    Source: the classical correction for guessing: F. M. Lord, M. R. Novick, Statistical Theories of Mental Test
    Scores (1968), section 14.3.

    Args:
        observed: share right, in [0, 1].
        chance: share right by guessing, in [0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 <= observed <= 1 or not 0 <= chance < 1:
        raise ValueError(f"observed {observed} must lie in 0..1 and chance {chance} in 0..1 (1 excluded)")
    return (observed - chance) / (1 - chance)


def chance_corrected(
    right: ArrayLike, chance: ArrayLike, clusters: Labels | None = None, confidence: float = 0.95
) -> ChanceCorrected:
    """Share of samples right by more than luck, each sample with its own chance of a lucky guess.

    The correction is linear in the share right, so the interval is that of `share` (Wilson or `cluster_wilson`),
    corrected at both ends: it covers as often as theirs, and covers 0 where all successes are lucky.

    Source: see `correct_for_guessing`; with different chances the mean chance takes the place of g, which is the
    moment estimate if knowing a sample does not go with its number of options.

    Args:
        right: 0 or 1, shape (n,).
        chance: probability of a lucky guess, in [0, 1): 1 / options, or 0 for an open question; shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is out of range, a label is missing.
    """
    array, luck = binary(right, "right"), numbers(chance, "chance")
    same_length(right=array, chance=luck)
    if luck.min() < 0 or luck.max() >= 1:
        raise ValueError("chance: each must lie in 0..1 (1 excluded)")
    estimate = share(array, clusters, confidence)
    return _corrected(estimate.value, float(luck.mean()), estimate.interval, len(array), estimate.method)


def solvable_share(
    right: ArrayLike,
    repeats: ArrayLike,
    options: ArrayLike,
    clusters: Labels | None = None,
    *,
    rule: Literal["mean", "all", "any"] = "mean",
    confidence: float = 0.95,
) -> ChanceCorrected:
    """Share of samples that a model truly solves, from c right of k answers per multiple-choice sample.

    Three countings, each corrected by what guessing gives under it:

    - `mean`: share of answers right, chance 1 / m. Asks only that a guess is right once in m on average (permute the
      options), so repeats may depend on one another, as at temperature 0. A sample solved half of the time counts
      one half. The default.
    - `all`: share of samples with all k right, chance m^-k. Nearly free of luck, but only where guesses are
      independent between repeats; a sample that is solved most times but not always counts as not solved.
    - `any`: share of samples with at least one right (pass@k), chance 1 - (1 - 1/m)^k. With many repeats nearly all
      guessers pass (90 % at k = 8, m = 4), so the interval is wide; also asks for independent guesses.

    Source: see `chance_corrected`.

    Args:
        right: right answers per sample, shape (n,).
        repeats: answers per sample, shape (n,), each at least 1.
        options: options per sample, shape (n,), each at least 2; infinite for an open question.
        clusters: a label per sample, or None where samples are independent.
        rule: `mean`, `all` or `any`.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is out of range, a label is missing.
    """
    c, k = right_of(right, repeats)
    luck = guess_chance(options)
    same_length(right=c, options=luck)
    groups = np.arange(len(c)) if clusters is None else cluster_codes(clusters, len(c))[0]
    if rule == "mean":
        answers = np.repeat(np.arange(len(c)), k)
        place = np.arange(len(answers)) - np.repeat(np.cumsum(k) - k, k)
        hit = (place < c[answers]).astype(np.float64)
        corrected = chance_corrected(hit, luck[answers], groups[answers], confidence)
        return _named(corrected, rule, len(c))
    if rule == "all":
        return _named(chance_corrected(c == k, luck**k, clusters, confidence), rule, len(c))
    if rule == "any":
        chance = 1 - (1 - luck) ** k
        if chance.max() > 1 - _SURE:
            raise StatsUnavailable("with so many answers a guesser is all but sure to be right once")
        return _named(chance_corrected(c > 0, chance, clusters, confidence), rule, len(c))
    raise ValueError(f"rule must be mean, all or any, not {rule}")


def guess_chance(options: ArrayLike) -> Floats:
    """1 / options, and 0 for an open question (infinitely many options); shape (n,)."""
    try:
        array = np.asarray(options, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("options: numbers are needed") from None
    if array.ndim != 1 or not np.all(array >= 2):
        raise ValueError("options: one number of at least 2 per sample is needed (infinite for an open question)")
    return np.asarray(1 / array, dtype=np.float64)


def _corrected(observed: float, chance: float, interval: Interval, n: int, method: str) -> ChanceCorrected:
    """Estimate and both ends, each through the same correction."""
    raw, low, high = (correct_for_guessing(p, chance) for p in (observed, interval.low, interval.high))
    ends = Interval(min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0))
    return ChanceCorrected(min(max(raw, 0.0), 1.0), raw, ends, observed, chance, n, method)


def _named(corrected: ChanceCorrected, rule: str, samples: int) -> ChanceCorrected:
    return ChanceCorrected(
        corrected.value,
        corrected.raw,
        corrected.interval,
        corrected.observed,
        corrected.chance,
        samples,
        f"{rule}, {corrected.method}",
    )
