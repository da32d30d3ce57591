"""Repeated answers to the same samples: how much varies between samples, how much within them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, cluster_codes, numbers, sums
from evalkit.stats._special import Floats
from evalkit.stats.passk import right_of
from evalkit.stats.unavailable import StatsUnavailable


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """One-way random effects: variance of a single answer, split in two.

    Attributes:
        between: variance of the samples' own means; 0 where the estimate is negative.
        within: variance of repeated answers to one sample.
        correlation: between / (between + within), before `between` is cut off at 0; may be negative.
        groups: samples (or clusters).
        repeats: typical number of answers per group (their mean, less their variance over their sum).
    """

    between: float
    within: float
    correlation: float
    groups: int
    repeats: float

    def standard_error(self, groups: int, repeats: int) -> float:
        """Standard error of the mean of a run with so many samples and repeats: what more of either would buy."""
        if groups < 1 or repeats < 1:
            raise ValueError(f"groups {groups} and repeats {repeats} must be at least 1")
        return float(np.sqrt((self.between + self.within / repeats) / groups))


def variance_split(right: ArrayLike, repeats: ArrayLike) -> VarianceSplit:
    """Splits the variance of right/wrong answers into between samples and within a sample.

    Source: S. R. Searle, G. Casella, C. E. McCulloch, Variance Components (1992), section 3.6 (one-way, unequal
    numbers); for binary data M. S. Ridout, C. G. B. Demetrio, D. Firth, Biometrics 55 (1999).

    Args:
        right: right answers per sample, shape (samples,).
        repeats: answers per sample, shape (samples,); may differ.

    Raises:
        StatsUnavailable: fewer than two samples, none with two answers, or no answer differs from another.
        ValueError: lengths differ, right exceeds repeats.
    """
    c, n = right_of(right, repeats)
    totals, sizes = c.astype(np.float64), n.astype(np.float64)
    return _split(totals, sizes, totals)


def consistency(right: ArrayLike, repeats: ArrayLike) -> float:
    """Probability that two answers to the same sample agree in being right or wrong, mean over samples.

    Source: the agreement of J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychological Bulletin
    76 (1971).

    Args:
        right: right answers per sample, shape (samples,).
        repeats: answers per sample, shape (samples,), each at least 2.

    Raises:
        StatsUnavailable: there is no sample, or one with a single answer.
        ValueError: lengths differ, right exceeds repeats.
    """
    c, n = right_of(right, repeats)
    if n.min() < 2:
        raise StatsUnavailable("a sample has one answer only")
    return float(np.mean((c * (c - 1) + (n - c) * (n - c - 1)) / (n * (n - 1))))


def one_way(values: Floats, groups: Labels) -> VarianceSplit:
    """The same split for real or 0/1 values with a group label each; see `variance_split`."""
    array = numbers(values)
    codes, count = cluster_codes(groups, len(array))
    if array.min() == array.max():
        raise StatsUnavailable("all values are equal, so there is no variance to split")
    centred = array - array.mean()
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    return _split(sums(codes, centred, count), sizes, sums(codes, centred**2, count))


def _split(totals: Floats, sizes: Floats, squares: Floats) -> VarianceSplit:
    """From each group's sum, number and sum of squares."""
    groups, n = len(sizes), float(sizes.sum())
    if groups < 2:
        raise StatsUnavailable("there is one sample only")
    if n == groups:
        raise StatsUnavailable("no sample has a second answer")
    means = totals / sizes
    inner = float(np.maximum(squares - totals * means, 0).sum()) / (n - groups)
    outer = float((sizes * (means - totals.sum() / n) ** 2).sum()) / (groups - 1)
    typical = (n - float((sizes**2).sum()) / n) / (groups - 1)
    between = (outer - inner) / typical
    if inner + outer <= 0:
        raise StatsUnavailable("all answers are equal, so there is no variance to split")
    return VarianceSplit(max(between, 0.0), inner, between / (between + inner), groups, typical)
