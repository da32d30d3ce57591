"""Quantiles (median, p95, ...) of real values with an interval that assumes no distribution."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, check_confidence, cluster_codes, numbers, sums
from evalkit.stats._special import Floats, Ints, binomial_cdf, t_quantile
from evalkit.stats.clusters import cluster_variance, effective_samples
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval, score_interval
from evalkit.stats.unavailable import StatsUnavailable


def quantile(
    values: ArrayLike, probability: float, clusters: Labels | None = None, confidence: float = 0.95
) -> Estimate:
    """A quantile (linear interpolation) with an interval between two of the values themselves.

    Independent samples: between the order statistics that the binomial law of "so many values lie below the true
    quantile" allows; it covers at least as often as it says. Clusters: the interval of the share of values below,
    which is Wilson's at the effective number of samples as in `cluster_wilson`, read back through the values and
    widened by one value at each end.

    Source: H. A. David, H. N. Nagaraja, Order Statistics (2003), section 7.1; clusters: R. S. Woodruff, Confidence
    intervals for medians and other position measures, JASA 47 (1952).

    Args:
        values: shape (n,).
        probability: of the quantile, in (0, 1): 0.5 is the median.
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, one cluster only, or too few samples for both ends of an interval.
        ValueError: lengths differ, a value is not finite, a label is missing, the probability lies outside (0, 1).
    """
    check_confidence(confidence)
    if not 0 < probability < 1:
        raise ValueError(f"probability must lie between 0 and 1, not {probability}")
    array = numbers(values)
    ordered = np.sort(array)
    n = len(array)
    value = _interpolated(ordered, probability)
    if clusters is not None:
        codes, count = cluster_codes(clusters, n)
        if count < n:
            return _clustered(array, ordered, value, probability, codes, count, confidence)
    lowest, highest = _ranks(n, probability, confidence)
    return Estimate(value, _around(value, ordered, lowest, highest), "order_statistics", n)


@lru_cache(maxsize=1024)
def samples_for_quantile(probability: float, confidence: float = 0.95) -> int:
    """Fewest independent samples that give both ends of an interval: 6 for the median, 72 for p95, 368 for p99."""
    tail = math.log((1 - confidence) / 2)
    return math.ceil(max(tail / math.log(probability), tail / math.log1p(-probability)) - 1e-9)


@lru_cache(maxsize=4096)
def _ranks(n: int, probability: float, confidence: float) -> tuple[int, int]:
    """The 0-based places of both ends among n sorted values."""
    _check_enough(n, probability, confidence)
    tail = (1 - confidence) / 2
    centre = n * probability
    reach = 10 * math.sqrt(centre * (1 - probability)) + 10
    tried = np.arange(max(0, math.floor(centre - reach)), min(n, math.ceil(centre + reach)) + 1)
    below = binomial_cdf(tried, n, probability)
    # P(at most k values lie below) <= tail: the true quantile lies below value k (0-based) that rarely
    lowest = int(tried[below <= tail][-1])
    # P(more than k values lie below) <= tail: it lies above value k that rarely
    highest = int(tried[1 - below <= tail][0])
    return lowest, highest


def _clustered(
    values: Floats, ordered: Floats, value: float, probability: float, codes: Ints, count: int, confidence: float
) -> Estimate:
    below = (values <= value).astype(np.float64)
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    _, variance, df = cluster_variance(sums(codes, below, count), sizes)
    n = len(values)
    share = float(below.mean())
    effective = effective_samples(variance, share * (1 - share) / max(n - 1, 1), n, count)
    _check_enough(min(math.floor(effective + 1e-9), count), probability, confidence)
    low, high = score_interval(probability, effective, t_quantile((1 + confidence) / 2, df))
    # one value further out at each end: without it, simulated coverage of p95 falls to 93 %
    lowest, highest = max(math.ceil(n * low) - 2, 0), min(math.ceil(n * high), n - 1)
    interval = _around(value, ordered, lowest, highest)
    return Estimate(value, interval, "woodruff", n, count, df=df, effective_n=effective)


def _interpolated(ordered: Floats, probability: float) -> float:
    place = probability * (len(ordered) - 1)
    low, high = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
    return low + (high - low) * (place - math.floor(place))


def _around(value: float, ordered: Floats, lowest: int, highest: int) -> Interval:
    """The values at both places; interpolation must not put the quantile outside."""
    return Interval(min(float(ordered[lowest]), value), max(float(ordered[highest]), value))


def _check_enough(n: int, probability: float, confidence: float) -> None:
    needed = samples_for_quantile(probability, confidence)
    if n < needed:
        raise StatsUnavailable(
            f"an interval of p{100 * probability:g} needs {needed} independent values, there are {n}"
        )
