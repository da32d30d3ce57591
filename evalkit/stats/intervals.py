"""Intervals for a share of independent samples."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from evalkit.stats.unavailable import StatsUnavailable


class Interval(NamedTuple):
    """A confidence interval, both ends in the unit of the estimate."""

    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a binomial share.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Args:
        successes: 0..n.
        n: at least 1.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: n is 0.
        ValueError: the arguments are out of range.
    """
    _check(successes, n, confidence)
    return score_interval(successes / n, n, NormalDist().inv_cdf((1 + confidence) / 2))


def score_interval(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval from a share, a number of samples that need not be whole, and a quantile.

    Args:
        share: in [0, 1].
        n: (effective) number of samples, above 0.
        quantile: of the normal or of Student's t, above 0.
    """
    square = quantile * quantile
    centre = share + square / (2 * n)
    half = quantile * math.sqrt(max(share * (1 - share), 0.0) / n + square / (4 * n * n))
    scale = 1 + square / n
    # Rounding must not push an end past the share itself, nor past 0 and 1.
    low = 0.0 if share <= 0 else min(max((centre - half) / scale, 0.0), share)
    high = 1.0 if share >= 1 else max(min((centre + half) / scale, 1.0), share)
    return Interval(low, high)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson's interval: covers at least as often as it says, and so is wider than Wilson's.

    Source: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the
    binomial, Biometrika 26 (1934); the beta form: Brown, Cai, DasGupta, Statistical Science 16 (2001).

    Args:
        successes: 0..n.
        n: at least 1.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: n is 0.
        ValueError: the arguments are out of range.
    """
    from evalkit.stats._special import beta_quantile

    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta_quantile(1 - tail, successes + 1, n - successes)
    return Interval(low, high)


def _check(successes: int, n: int, confidence: float) -> None:
    """Refuses counts that no share can have."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if n == 0 and successes == 0:
        raise StatsUnavailable("there is no sample")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} samples: successes must lie between 0 and n")
