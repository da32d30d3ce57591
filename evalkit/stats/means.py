"""The default interval for a mean or a share, and what it is called."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, check_confidence, cluster_codes, numbers
from evalkit.stats._special import t_quantile, t_upper_tail
from evalkit.stats.clusters import cluster_robust, cluster_wilson
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval, wilson
from evalkit.stats.unavailable import StatsUnavailable


def share(right: ArrayLike, clusters: Labels | None = None, confidence: float = 0.95) -> Estimate:
    """Share of 0/1 values with the recommended interval: Wilson's, or `cluster_wilson` where clusters hold several.

    Args:
        right: 0 or 1 (or booleans), shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    array = binary(right)
    n = len(array)
    if clusters is not None and cluster_codes(clusters, n)[1] < n:
        return cluster_wilson(array, clusters, confidence)
    successes = int(array.sum())
    return Estimate(successes / n, wilson(successes, n, confidence), "wilson", n, df=math.inf)


def mean(values: ArrayLike, clusters: Labels | None = None, confidence: float = 0.95) -> Estimate:
    """Mean of real values with a t interval: Student's, or `cluster_robust` where clusters hold several samples.

    Source: Student (W. S. Gosset), The probable error of a mean, Biometrika 6 (1908).

    Args:
        values: shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there are fewer than two samples or clusters, or all values are equal.
        ValueError: lengths differ, a value is not finite, a label is missing.
    """
    check_confidence(confidence)
    array = numbers(values)
    n = len(array)
    if clusters is not None and cluster_codes(clusters, n)[1] < n:
        return cluster_robust(array, clusters, confidence)
    if n < 2:
        raise StatsUnavailable("there is one sample only")
    centre = float(array.mean())
    error = float(np.std(array, ddof=1)) / math.sqrt(n)
    if array.min() == array.max() or error == 0:
        raise StatsUnavailable("all values are equal, so their spread says nothing")
    half = t_quantile((1 + confidence) / 2, n - 1) * error
    return Estimate(centre, Interval(centre - half, centre + half), "t", n, None, error, float(n - 1))


def t_test(estimate: Estimate, null: float = 0.0) -> float:
    """Two-sided p value of a mean against a fixed value, from the estimate's standard error and degrees of freedom.

    Args:
        estimate: of `mean` or `cluster_robust`.
        null: the value under test, in the unit of the data.

    Raises:
        ValueError: the estimate has no standard error to test with.
    """
    if not estimate.standard_error or estimate.df is None:
        raise ValueError(f"an estimate by {estimate.method} has no standard error")
    return min(1.0, 2 * t_upper_tail(abs(estimate.value - null) / estimate.standard_error, estimate.df))
