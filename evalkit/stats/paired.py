"""Two models on the same samples: the difference of their shares or means, with interval and p value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, check_confidence, cluster_codes, cluster_sums, numbers, same_length
from evalkit.stats._special import t_quantile
from evalkit.stats.clusters import cluster_variance
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval
from evalkit.stats.means import mean
from evalkit.stats.paired_score import invert_score
from evalkit.stats.paired_tests import cluster_mcnemar, mcnemar

ASSUMED_CORRELATION = 0.5
"""Of flips within a cluster before any is seen: the mean where every value from 0 to 1 is as likely."""
ASSUMED_FLIPS = 11.0
"""Discordant pairs that this assumption counts as: the fewest with which, in clusters of up to four samples, two more
flips of opposite directions never narrow a 95 % interval. Without it a few flips, each in a cluster of its own, would
say that flips do not cluster, and be better news than none."""


class PairedCounts(NamedTuple):
    """The 2x2 table of two right/wrong arrays over the same samples."""

    both: int
    new_only: int
    old_only: int
    neither: int


class EffectivePairs(NamedTuple):
    """Discordant pairs and pairs, scaled to the number of independent pairs that carry as much information.

    Attributes:
        new_only: pairs that only `new` has right.
        old_only: pairs that only `old` has right.
        n: pairs.
        df: degrees of freedom of Student's t; infinite where samples are independent.
        clusters: independent groups of samples; None where every sample stands for itself.
        seen: design effect in the data, at least 1, before it is drawn.
        cluster_size: samples in the cluster of a sample, on average over samples.
    """

    new_only: float
    old_only: float
    n: float
    df: float
    clusters: int | None
    seen: float = 1.0
    cluster_size: float = 1.0


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """new - old over the same samples.

    Attributes:
        value: difference of the shares.
        interval: of the difference.
        p_value: two-sided, of no difference.
        counts: the 2x2 table.
        method: of the interval: `tango` or `cluster_tango`.
        test: of the p value: `mcnemar:mid-p` or `cluster_mcnemar:mid-p`.
        clusters: independent groups of samples; None where every sample stands for itself.
        effective_n: number of independent samples that carry as much information.
    """

    value: float
    interval: Interval
    p_value: float
    counts: PairedCounts
    method: str
    test: str
    clusters: int | None
    effective_n: float


def paired_counts(new: ArrayLike, old: ArrayLike) -> PairedCounts:
    """The 2x2 table of two 0/1 arrays of shape (n,) over the same samples.

    Raises:
        StatsUnavailable: there is no sample.
        ValueError: lengths differ, a value is not 0 or 1.
    """
    first, second = binary(new, "new"), binary(old, "old")
    same_length(new=first, old=second)
    both = int(np.count_nonzero((first == 1) & (second == 1)))
    new_only, old_only = int(first.sum()) - both, int(second.sum()) - both
    return PairedCounts(both, new_only, old_only, len(first) - both - new_only - old_only)


def paired_difference(
    new: ArrayLike, old: ArrayLike, clusters: Labels | None = None, confidence: float = 0.95
) -> PairedDifference:
    """Difference of two shares over the same samples, with the recommended interval and test.

    Independent samples: Tango's score interval and McNemar's mid-p. Clustered samples: Tango's interval at the
    effective number of pairs with Student's t, and the exact sign-flip form of McNemar's test. Where few pairs are
    discordant, how they cluster is mostly assumed, see `effective_pairs`; the interval is then rather too wide.

    Source: see `tango`, `mcnemar`, `cluster_mcnemar`; scaling by the design effect as in `cluster_wilson`, and for
    paired shares Z. Yang, X. Sun, J. W. Hardin, Statistics in Medicine 31 (2012).

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    check_confidence(confidence)
    counts = paired_counts(new, old)
    pairs = effective_pairs(new, old, clusters)
    quantile = t_quantile((1 + confidence) / 2, pairs.df)
    interval = invert_score(pairs.new_only, pairs.old_only, pairs.n, quantile)
    value = (counts.new_only - counts.old_only) / sum(counts)
    if clusters is None or pairs.clusters is None:
        p_value, kind = mcnemar(counts.new_only, counts.old_only), ""
    else:
        p_value, kind = cluster_mcnemar(new, old, clusters), "cluster_"
    interval = Interval(min(interval.low, value), max(interval.high, value))
    test = f"{kind}mcnemar:mid-p"
    return PairedDifference(value, interval, p_value, counts, f"{kind}tango", test, pairs.clusters, pairs.n)


def effective_pairs(new: ArrayLike, old: ArrayLike, clusters: Labels | None) -> EffectivePairs:
    """The numbers that Tango's statistic takes: counts as they are, or scaled down by the design effect.

    The design effect is the one seen (cluster-robust variance over that of independent samples, at least 1), drawn up
    towards the one of `ASSUMED_CORRELATION`, which weighs as much as `ASSUMED_FLIPS` discordant pairs: a few pairs say
    next to nothing of how they cluster, and none says nothing.

    Source: design effect of clusters of unequal size by their correlation: L. Kish, Survey Sampling (1965), ch. 5.

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        clusters: a label per sample, or None where samples are independent.

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    counts = paired_counts(new, old)
    n, new_only, old_only = sum(counts), counts.new_only, counts.old_only
    if clusters is None or cluster_codes(clusters, n)[1] == n:
        return EffectivePairs(new_only, old_only, n, math.inf, None)
    totals, sizes = cluster_sums(binary(new) - binary(old), clusters)
    flips, size = new_only + old_only, float((sizes**2).sum()) / n
    spread = cluster_variance(totals, sizes)
    independent = (flips / n - spread.mean**2) / max(n - 1, 1)
    # where all samples flip the same way, or none does, there is no spread
    known = independent > 1e-12 / n
    seen = max(1.0, spread.variance / independent) if known else 1.0
    scale = 1 / drawn_effect(seen, flips if known else 0, size)
    return EffectivePairs(new_only * scale, old_only * scale, n * scale, spread.df, len(sizes), seen, size)


def drawn_effect(seen: float, flips: float, cluster_size: float) -> float:
    """The design effect that intervals and score tests of paired shares go by, see `effective_pairs`.

    Args:
        seen: the design effect in the data, at least 1.
        flips: discordant pairs that it was seen in.
        cluster_size: samples in the cluster of a sample, on average over samples; at least 1.
    """
    assumed = 1 + ASSUMED_CORRELATION * (cluster_size - 1)
    # a larger one that is seen is no less true for being seen in few flips
    return max(seen, (flips * seen + ASSUMED_FLIPS * assumed) / (flips + ASSUMED_FLIPS))


def paired_mean_difference(
    new: ArrayLike, old: ArrayLike, clusters: Labels | None = None, confidence: float = 0.95
) -> Estimate:
    """Mean of new - old of real values (calls, tokens, seconds) over the same samples; test it with `t_test`.

    Source: see `mean`; the interval is of the differences.

    Args:
        new: shape (n,).
        old: the same samples in the same order, shape (n,).
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there are fewer than two samples or clusters, or all differences are equal.
        ValueError: lengths differ, a value is not finite, a label is missing.
    """
    first, second = numbers(new, "new"), numbers(old, "old")
    same_length(new=first, old=second)
    return mean(first - second, clusters, confidence)
