"""Cluster bootstrap: whole clusters are drawn again, all draws at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, check_confidence, cluster_sums, numbers, same_length
from evalkit.stats._special import Floats, normal_cdf, normal_quantile
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval
from evalkit.stats.unavailable import StatsUnavailable

MIN_CLUSTERS = 20
"""With fewer, percentiles of a bootstrap cover far too rarely to be shown."""

_CHUNK = 2_000_000
_FEW_KINDS = 64


def resampled_means(totals: Floats, sizes: Floats, draws: int, seed: int = 0) -> Floats:
    """Means of `draws` bootstrap samples of clusters, shape (draws,).

    Clusters with equal total and size cannot be told apart in a mean, so they are drawn together: one multinomial
    over the kinds of clusters has the same distribution as one over the clusters, and right/wrong data have few kinds.

    Args:
        totals: sum of the values per cluster, shape (G,).
        sizes: samples per cluster, shape (G,).
        draws: bootstrap samples, at least 1.
        seed: equal seeds give equal draws.
    """
    rng = np.random.default_rng(seed)
    count = len(totals)
    kinds, amount = np.unique(totals + 1j * sizes, return_counts=True)
    if len(kinds) <= _FEW_KINDS:
        weights = rng.multinomial(count, amount / count, size=draws)
        return np.asarray((weights @ kinds.real) / (weights @ kinds.imag), dtype=np.float64)
    means = np.empty(draws)
    step = max(1, _CHUNK // count)
    for start in range(0, draws, step):
        drawn = rng.integers(0, count, size=(min(step, draws - start), count), dtype=np.int32)
        means[start : start + step] = totals[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means


def cluster_bootstrap(
    values: ArrayLike,
    clusters: Labels | None = None,
    confidence: float = 0.95,
    *,
    draws: int = 10_000,
    method: Literal["percentile", "bca"] = "bca",
    seed: int = 0,
) -> Estimate:
    """Mean with a bootstrap interval over clusters; for right/wrong data `cluster_wilson` covers better.

    Source: percentile and BCa: B. Efron, Better bootstrap confidence intervals, JASA 82 (1987); drawing whole
    clusters: A. C. Davison, D. V. Hinkley, Bootstrap methods and their application (1997), section 3.8.

    Args:
        values: real or 0/1, shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).
        draws: bootstrap samples, at least 1,000.
        method: `percentile`, or `bca`, which corrects for bias and skewness.
        seed: equal seeds give equal intervals.

    Raises:
        StatsUnavailable: there are fewer than 20 clusters, or they do not differ.
        ValueError: lengths differ, a value is not finite, a label is missing, too few draws.
    """
    check_confidence(confidence)
    if draws < 1000:
        raise ValueError(f"draws must be at least 1000, not {draws}")
    if method not in ("percentile", "bca"):
        raise ValueError(f"method must be percentile or bca, not {method}")
    array = numbers(values)
    totals, sizes = (array, np.ones(len(array))) if clusters is None else cluster_sums(array, clusters)
    if len(sizes) < MIN_CLUSTERS:
        raise StatsUnavailable(f"a bootstrap needs at least {MIN_CLUSTERS} clusters, there are {len(sizes)}")
    ratios = totals / sizes
    if ratios.max() - ratios.min() <= 1e-12 * np.abs(ratios).max():
        raise StatsUnavailable("the clusters do not differ, so drawing them again says nothing")
    centre = float(totals.sum() / sizes.sum())
    means = resampled_means(totals, sizes, draws, seed)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if method == "bca":
        tails = _corrected(tails, means, centre, totals, sizes)
    low, high = np.quantile(means, tails)
    interval = Interval(min(float(low), centre), max(float(high), centre))
    groups = None if clusters is None else len(sizes)
    return Estimate(centre, interval, f"cluster_bootstrap:{method}", len(array), groups, float(means.std(ddof=1)))


def paired_cluster_bootstrap(
    new: ArrayLike,
    old: ArrayLike,
    clusters: Labels | None = None,
    confidence: float = 0.95,
    *,
    draws: int = 10_000,
    method: Literal["percentile", "bca"] = "percentile",
    seed: int = 0,
) -> Estimate:
    """Mean of new - old over the same samples, with a bootstrap interval over clusters; see `cluster_bootstrap`.

    Percentiles are the default here: with few discordant pairs BCa covered 92 to 94 % instead of 95 %, percentiles 94
    to 95 %. For right/wrong data `paired_difference` covers better than either.

    Args:
        new: real or 0/1, shape (n,).
        old: the same samples in the same order, shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).
        draws: bootstrap samples, at least 1,000.
        method: `percentile` or `bca`.
        seed: equal seeds give equal intervals.

    Raises:
        StatsUnavailable: there are fewer than 20 clusters, or their differences are all equal.
        ValueError: lengths differ, a value is not finite, a label is missing, too few draws.
    """
    first, second = numbers(new, "new"), numbers(old, "old")
    same_length(new=first, old=second)
    return cluster_bootstrap(first - second, clusters, confidence, draws=draws, method=method, seed=seed)


def _corrected(
    tails: tuple[float, float], means: Floats, centre: float, totals: Floats, sizes: Floats
) -> tuple[float, float]:
    """The percentiles that BCa reads instead of the nominal ones."""
    draws = len(means)
    # A draw within rounding of the centre is a tie: half of it lies below.
    near = np.abs(means - centre) <= 1e-12 * max(abs(centre), float(np.abs(means).max()))
    below = np.count_nonzero((means < centre) & ~near) + 0.5 * np.count_nonzero(near)
    bias = normal_quantile(min(max(below, 0.5), draws - 0.5) / draws)
    without = (totals.sum() - totals) / (sizes.sum() - sizes)
    spread = without.mean() - without
    spread = spread / np.abs(spread).max()
    acceleration = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    low, high = (_shifted(normal_quantile(tail), bias, acceleration) for tail in tails)
    return low, high


def _shifted(z: float, bias: float, acceleration: float) -> float:
    """One corrected percentile."""
    moved = bias + z
    scale = 1 - acceleration * moved
    if scale <= 0:
        return 1.0 if moved > 0 else 0.0
    return normal_cdf(bias + moved / scale)
