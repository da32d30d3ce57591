"""A ratio of two sums over samples: weighted shares, F1, shares of a part of the samples whose size is random."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, check_confidence, cluster_codes, numbers, same_length, sums
from evalkit.stats._special import t_quantile
from evalkit.stats.clusters import cluster_variance
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval, score_interval
from evalkit.stats.unavailable import StatsUnavailable

_ROUNDING = 1e-9


def ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    clusters: Labels | None = None,
    confidence: float = 0.95,
    *,
    top: float = 1.0,
) -> Estimate:
    """Sum of the numerators over sum of the denominators, with Wilson's interval at the effective number of samples.

    For numerators between 0 and `top` times their denominator. Samples with a denominator of 0 carry nothing and
    are not counted. The variance is that of the linearised ratio, between clusters; scaled by `top` the ratio is a
    weighted share, and its interval is that of `cluster_wilson` (for 0/1 numerators and denominators exactly it, and
    without clusters Wilson's).

    Source: linearised ratio: W. G. Cochran, Sampling Techniques (1977), section 6.3; the effective number for weighted
    shares: E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998).

    Args:
        numerator: shape (n,).
        denominator: at least 0, shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).
        top: largest value the ratio of a single sample can have.

    Raises:
        StatsUnavailable: there is no sample with a denominator above 0, or one cluster has all of it.
        ValueError: lengths differ, a numerator or denominator is out of range, a label is missing.
    """
    check_confidence(confidence)
    above, below = numbers(numerator, "numerator"), numbers(denominator, "denominator")
    same_length(numerator=above, denominator=below)
    if below.min() < 0 or above.min() < 0 or np.any(above > top * below * (1 + _ROUNDING) + _ROUNDING):
        raise ValueError(f"each numerator must lie between 0 and {top:g} times its denominator, which is at least 0")
    kept = below > 0
    if not kept.any():
        raise StatsUnavailable("there is no sample to count")
    labels = np.arange(len(below)) if clusters is None else clusters
    codes = np.unique(cluster_codes(labels, len(below))[0][kept], return_inverse=True)[1].astype(np.int64)
    above, below = above[kept] / (top * below.max()), below[kept] / below.max()
    n, groups = len(below), int(codes.max()) + 1
    value = min(float(above.sum() / below.sum()), 1.0)
    if groups < n and groups < 2:
        raise StatsUnavailable("all samples belong to one cluster")
    if n == 1:
        lone = score_interval(value, 1, t_quantile((1 + confidence) / 2, math.inf))
        return Estimate(value * top, _scaled(lone, top), "ratio", 1, effective_n=1.0)
    sizes = sums(codes, below, groups)
    if sizes.max() > (1 - _ROUNDING) * sizes.sum():
        raise StatsUnavailable("one cluster has all the weight")
    spread = cluster_variance(sums(codes, above, groups), sizes)
    # clusters never carry more than as many independent samples would
    variance = spread.variance if groups == n else max(spread.variance, cluster_variance(above, below).variance)
    effective = _effective(value, variance, n, groups)
    equal = groups == n and below.min() == below.max()
    df = math.inf if equal else spread.df
    interval = _scaled(score_interval(value, effective, t_quantile((1 + confidence) / 2, df)), top)
    return Estimate(
        value * top,
        interval,
        "ratio" if groups == n else "cluster_ratio",
        n,
        None if groups == n else groups,
        math.sqrt(spread.variance) * top,
        df,
        effective,
    )


def _effective(value: float, variance: float, n: int, groups: int) -> float:
    """How many independent 0/1 samples would have this variance; above n where numerators lie between the extremes."""
    if not 0 < value < 1:
        return float(groups)
    return n * value * (1 - value) / (n - 1) / variance if variance > 0 else float(n)


def _scaled(interval: Interval, top: float) -> Interval:
    return Interval(interval.low * top, interval.high * top)
