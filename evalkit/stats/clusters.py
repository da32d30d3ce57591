"""Intervals for a mean or share when samples come in clusters (same image, same problem, repeats of a sample)."""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, check_confidence, cluster_sums, numbers
from evalkit.stats._special import Floats, t_quantile
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval, score_interval
from evalkit.stats.unavailable import StatsUnavailable


class ClusterVariance(NamedTuple):
    """Mean over all samples, the variance of that mean, and its degrees of freedom."""

    mean: float
    variance: float
    df: float


def cluster_variance(totals: Floats, sizes: Floats) -> ClusterVariance:
    r"""Variance of a mean over clusters of unequal size, unbiased where samples are independent after all (CR2).

    With residual totals $e_g = T_g - \bar y n_g$, the variance is
    $\sum_g e_g^2 / (1 - n_g / n) / n^2$; for equal sizes that is the usual $G / (G - 1) \sum e_g^2 / n^2$.
    The degrees of freedom are Satterthwaite's, G - 1 for equal sizes and fewer when a few clusters hold most samples.

    Source: R. M. Bell, D. F. McCaffrey, Bias reduction in standard errors for linear regression with multi-stage
    samples, Survey Methodology 28 (2002), for a regression on a constant.

    Args:
        totals: sum of the values per cluster, shape (G,).
        sizes: samples per cluster, shape (G,), each at least 1.

    Raises:
        StatsUnavailable: there is one cluster only.
    """
    if len(sizes) < 2:
        raise StatsUnavailable("all samples belong to one cluster")
    n = float(sizes.sum())
    mean = float(totals.sum()) / n
    share = sizes / n
    weight = 1 / (1 - share)
    variance = float((weight * (totals - mean * sizes) ** 2).sum()) / n**2
    trace = float((weight * share * (1 - share)).sum())
    squares = float((weight**2 * share**2 * (1 - 2 * share)).sum() + (weight * share**2).sum() ** 2)
    # never more than G - 1; rounding may leave nothing of the squares where one cluster has all but all samples
    return ClusterVariance(mean, variance, trace**2 / max(squares, trace**2 / (len(sizes) - 1)))


def cluster_robust(values: ArrayLike, clusters: Labels, confidence: float = 0.95) -> Estimate:
    """Mean of real or 0/1 values with a t interval from the cluster-robust variance.

    For real values, and for shares away from 0 and 1; near them it covers too rarely: use `cluster_wilson`.

    Source: see `cluster_variance`.

    Args:
        values: shape (n,).
        clusters: a label per sample; samples with equal labels are not independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, one cluster only, or no variation between clusters.
        ValueError: lengths differ, a value is not finite, a label is missing.
    """
    check_confidence(confidence)
    array = numbers(values)
    totals, sizes = cluster_sums(array, clusters)
    mean, variance, df = cluster_variance(totals, sizes)
    scale = float(abs(array).max())
    if array.min() == array.max() or math.sqrt(variance) <= 1e-12 * scale:
        raise StatsUnavailable("the clusters do not differ, so their spread says nothing")
    error = math.sqrt(variance)
    half = t_quantile((1 + confidence) / 2, df) * error
    return Estimate(mean, Interval(mean - half, mean + half), "cluster_robust", len(array), len(sizes), error, df)


def cluster_wilson(right: ArrayLike, clusters: Labels, confidence: float = 0.95) -> Estimate:
    """Share with Wilson's interval at the effective number of samples: the default for clustered shares.

    The effective number is n divided by the design effect (cluster-robust variance over that of independent
    samples), never above n. Where no sample or every sample is right there is no spread to take a design effect from;
    then a cluster counts as one sample, the worst case. The quantile is Student's t with the degrees of freedom of
    `cluster_variance`.

    Source: effective number: E. L. Korn, B. I. Graubard, Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data, Survey Methodology 24 (1998); with Wilson's form: N. Dean,
    M. Pagano, Evaluating confidence interval methods for binomial proportions in clustered surveys, JSSAM 3 (2015).

    Args:
        right: 0 or 1 (or booleans), shape (n,).
        clusters: a label per sample; samples with equal labels are not independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample or one cluster only.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    check_confidence(confidence)
    totals, sizes = cluster_sums(binary(right), clusters)
    n = float(sizes.sum())
    share, variance, df = cluster_variance(totals, sizes)
    effective = effective_samples(variance, share * (1 - share) / max(n - 1, 1), n, len(sizes))
    interval = score_interval(share, effective, t_quantile((1 + confidence) / 2, df))
    return Estimate(share, interval, "cluster_wilson", int(n), len(sizes), math.sqrt(variance), df, effective)


def effective_samples(variance: float, independent: float, n: float, clusters: int) -> float:
    """How many independent samples carry as much information as n clustered ones.

    Args:
        variance: of the mean, cluster-robust.
        independent: variance that the mean would have if samples were independent.
        n: samples.
        clusters: groups of samples, the answer where `independent` is 0.
    """
    if independent <= 0:
        return float(clusters)
    return n * min(1.0, independent / variance) if variance > 0 else n


def intraclass_correlation(values: ArrayLike, clusters: Labels) -> float:
    """Correlation between two samples of the same cluster, from a one-way analysis of variance; may be negative.

    Source: A. Donner, J. J. Koval, The estimation of intraclass correlation in the analysis of family data,
    Biometrics 36 (1980).

    Args:
        values: real or 0/1, shape (n,).
        clusters: a label per sample.

    Raises:
        StatsUnavailable: there is one cluster, no cluster with two samples, or no variation at all.
        ValueError: lengths differ, a value is not finite, a label is missing.
    """
    from evalkit.stats.repeats import one_way

    array = numbers(values)
    return one_way(array, clusters).correlation
