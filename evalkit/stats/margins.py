"""Is the new model not worse than the old one, or the same, up to a margin?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, cluster_sums, same_length
from evalkit.stats._special import t_quantile, t_upper_tail
from evalkit.stats.intervals import Interval
from evalkit.stats.paired import effective_pairs
from evalkit.stats.paired_score import invert_score, score_statistic
from evalkit.stats.paired_tests import sign_flips


@dataclass(frozen=True, slots=True)
class MarginTest:
    """A non-inferiority or equivalence test on paired shares.

    Attributes:
        shown: whether non-inferiority or equivalence was shown. False means not shown, not the opposite.
        p_value: at most alpha exactly where `shown`.
        difference: new - old.
        interval: with coverage 1 - 2 alpha; lies inside the margin where `shown`.
        margin: in share units.
        alpha: level of each one-sided test.
    """

    shown: bool
    p_value: float
    difference: float
    interval: Interval
    margin: float
    alpha: float


def non_inferiority(
    new: ArrayLike, old: ArrayLike, margin: float, clusters: Labels | None = None, *, alpha: float = 0.025
) -> MarginTest:
    """Tests whether new is worse than old by less than the margin, over the same samples.

    Source: score test of Tango (1998), see `score_statistic`; for clusters at the effective number of pairs.

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        margin: the loss that would matter, in share units (0.02 is two points), in (0, 1).
        clusters: a label per sample, or None where samples are independent.
        alpha: one-sided level, in (0, 0.5).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: margin or alpha out of range, lengths differ, a value is not 0 or 1, a label is missing.
    """
    return _test(new, old, margin, clusters, alpha, both_sides=False)


def equivalence(
    new: ArrayLike, old: ArrayLike, margin: float, clusters: Labels | None = None, *, alpha: float = 0.05
) -> MarginTest:
    """Tests whether new and old differ by less than the margin either way: two one-sided tests (TOST).

    Source: D. J. Schuirmann, A comparison of the two one-sided tests procedure and the power approach, J.
    Pharmacokinet. Biopharm. 15 (1987), on the score statistic of Tango (1998).

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        margin: the difference that would matter, in share units, in (0, 1).
        clusters: a label per sample, or None where samples are independent.
        alpha: level of each of the two tests, in (0, 0.5).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: margin or alpha out of range, lengths differ, a value is not 0 or 1, a label is missing.
    """
    return _test(new, old, margin, clusters, alpha, both_sides=True)


def beyond(new: ArrayLike, old: ArrayLike, limit: float, clusters: Labels | None = None) -> float:
    """One-sided p value of the hypothesis that new - old is at most `limit`; small where it is beyond.

    For the other side swap the runs and the limit's sign. At a limit of 0 this is the mid-p sign-flip test of
    `cluster_mcnemar` (McNemar's where samples are independent); elsewhere Tango's score test, as in `non_inferiority`.

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        limit: in share units, in (-1, 1).
        clusters: a label per sample, or None where samples are independent.

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: limit out of range, lengths differ, a value is not 0 or 1, a label is missing.
    """
    if not -1 < limit < 1:
        raise ValueError(f"the limit of a difference of shares lies between -1 and 1, not {limit}")
    pairs = effective_pairs(new, old, clusters)
    if limit:
        return t_upper_tail(score_statistic(pairs.new_only, pairs.old_only, pairs.n, limit), pairs.df)
    first, second = binary(new, "new"), binary(old, "old")
    same_length(new=first, old=second)
    labels = np.arange(len(first)) if clusters is None else clusters
    sums = np.rint(cluster_sums(first - second, labels)[0]).astype(np.int64)
    chances = sign_flips(np.abs(sums[sums != 0]))
    if len(chances) == 1:
        return 1.0
    seen = len(chances) // 2 + int(sums.sum())
    return min(1.0, float(chances[seen + 1 :].sum()) + float(chances[seen]) / 2)


def check_margin(margin: float, alpha: float) -> None:
    """Refuses a margin or a one-sided level that makes no test."""
    if not 0 < margin < 1:
        raise ValueError(f"the margin is a share between 0 and 1, not {margin} (two points are 0.02)")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")


def _test(
    new: ArrayLike, old: ArrayLike, margin: float, clusters: Labels | None, alpha: float, *, both_sides: bool
) -> MarginTest:
    check_margin(margin, alpha)
    pairs = effective_pairs(new, old, clusters)
    difference = (pairs.new_only - pairs.old_only) / pairs.n
    statistics = [score_statistic(pairs.new_only, pairs.old_only, pairs.n, -margin)]
    if both_sides:
        statistics.append(score_statistic(pairs.old_only, pairs.new_only, pairs.n, -margin))
    quantile = t_quantile(1 - alpha, pairs.df)
    p_value = max(t_upper_tail(statistic, pairs.df) for statistic in statistics)
    interval = invert_score(pairs.new_only, pairs.old_only, pairs.n, quantile)
    return MarginTest(p_value <= alpha, p_value, difference, interval, margin, alpha)
