"""Tango's score statistic for the difference of two paired shares, and the interval that inverts it."""

from __future__ import annotations

import math
from statistics import NormalDist

from evalkit.stats.intervals import Interval
from evalkit.stats.unavailable import StatsUnavailable

_STEPS = 60


def score_statistic(new_only: float, old_only: float, n: float, difference: float) -> float:
    r"""Score statistic of the hypothesis that new - old equals `difference`; standard normal under it.

    With b = new_only, c = old_only and q the restricted maximum-likelihood share of c,
    $T = (b - c - n \Delta) / \sqrt{n (2 q + \Delta (1 - \Delta))}$. At difference 0 it is McNemar's.

    Source: T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, Statistics in Medicine 17 (1998).

    Args:
        new_only: pairs that only `new` has right; need not be whole (effective numbers of clustered samples).
        old_only: pairs that only `old` has right.
        n: pairs, above 0 and at least new_only + old_only.
        difference: in [-1, 1].
    """
    if difference < 0:
        return -score_statistic(old_only, new_only, n, -difference)
    middle = (2 * n - new_only + old_only) * difference - new_only - old_only
    last = -old_only * difference * (1 - difference)
    root = math.sqrt(max(middle * middle - 8 * n * last, 0.0))
    # Of the two forms of the root, the one that subtracts nothing.
    q = -2 * last / (middle + root) if middle > 0 else (root - middle) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    distance = new_only - old_only - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if abs(distance) > 1e-9 * n else 0.0
    return distance / math.sqrt(variance)


def tango(new_only: int, old_only: int, n: int, confidence: float = 0.95) -> Interval:
    """Score interval for the difference new - old of two shares over the same n independent samples.

    Source: see `score_statistic`.

    Args:
        new_only: samples that only `new` has right.
        old_only: samples that only `old` has right.
        n: samples, at least 1.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: n is 0.
        ValueError: the arguments are out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if new_only < 0 or old_only < 0 or new_only + old_only > n:
        raise ValueError(f"{new_only} + {old_only} discordant pairs do not fit {n} pairs")
    if n == 0:
        raise StatsUnavailable("there is no sample")
    return invert_score(new_only, old_only, n, NormalDist().inv_cdf((1 + confidence) / 2))


def invert_score(new_only: float, old_only: float, n: float, quantile: float) -> Interval:
    """All differences whose score statistic lies within the quantile (of the normal or of Student's t).

    Args:
        new_only: (effective) pairs that only `new` has right.
        old_only: (effective) pairs that only `old` has right.
        n: (effective) pairs.
        quantile: above 0.
    """
    return Interval(-_upper(old_only, new_only, n, quantile), _upper(new_only, old_only, n, quantile))


def _upper(new_only: float, old_only: float, n: float, quantile: float) -> float:
    """The largest difference in the interval; the statistic falls as the difference grows."""
    inside, outside = (new_only - old_only) / n, 1.0
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if score_statistic(new_only, old_only, n, middle) > -quantile:
            inside = middle
        else:
            outside = middle
    return inside
