"""Tests whether two shares over the same samples differ: McNemar's, and its exact form for clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, cluster_sums, same_length
from evalkit.stats._special import Floats, Ints, binomial_cdf, binomial_pmf
from evalkit.stats.unavailable import StatsUnavailable


def mcnemar(new_only: int, old_only: int, *, mid_p: bool = True) -> float:
    """Two-sided p value of McNemar's conditional test, mid-p or exact.

    The exact test never rejects too often and so rejects too seldom; mid-p is close to the nominal level, and
    recommended. Without a discordant pair nothing speaks against equality and p is 1.

    Source: Q. McNemar, Psychometrika 12 (1947); M. W. Fagerland, S. Lydersen, P. Laake, The McNemar test for binary
    matched-pairs data: mid-p and asymptotic are better than exact conditional, BMC Med. Res. Methodol. 13:91 (2013).

    Args:
        new_only: pairs that only `new` has right.
        old_only: pairs that only `old` has right.
        mid_p: count half of the probability of what was seen, instead of all of it.

    Raises:
        ValueError: a count is negative or not whole.
    """
    if new_only < 0 or old_only < 0 or new_only != int(new_only) or old_only != int(old_only):
        raise ValueError(f"discordant pairs must be whole numbers of at least 0, not {new_only} and {old_only}")
    pairs = int(new_only + old_only)
    if pairs == 0:
        return 1.0
    return float(two_sided(np.asarray([min(int(new_only), int(old_only))]), pairs, mid_p=mid_p)[0])


def two_sided(fewer: Ints, pairs: int | Ints, *, mid_p: bool) -> Floats:
    """McNemar's p for arrays of the smaller discordant count, given the number of discordant pairs (at least 1)."""
    seen = binomial_pmf(fewer, pairs, 0.5)
    exact = np.minimum(2 * binomial_cdf(fewer, pairs, 0.5), 1.0)
    return exact - seen * np.where(np.equal(2 * fewer, pairs), 0.5, 1.0) if mid_p else exact


def cluster_mcnemar(new: ArrayLike, old: ArrayLike, clusters: Labels, *, mid_p: bool = True) -> float:
    """Two-sided p value of McNemar's test when samples come in clusters: an exact sign-flip test on cluster sums.

    If the two models do not differ, swapping their names within a cluster changes nothing, so every cluster's sum of
    new - old is as likely with either sign. The distribution of the total over all sign patterns is computed, not
    drawn. With one sample per cluster this is McNemar's test.

    Source: sign flips as an exact test: E. L. Lehmann, J. P. Romano, Testing Statistical Hypotheses (2005), ch. 15;
    valid in large samples under equal means only: I. A. Canay, J. P. Romano, A. M. Shaikh, Randomization tests under
    an approximate symmetry assumption, Econometrica 85 (2017).

    Args:
        new: 0 or 1, shape (n,).
        old: the same samples in the same order, shape (n,).
        clusters: a label per sample.
        mid_p: count half of the probability of what was seen, instead of all of it.

    Raises:
        StatsUnavailable: there is no sample, or all belong to one cluster.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    first, second = binary(new, "new"), binary(old, "old")
    same_length(new=first, old=second)
    totals, sizes = cluster_sums(first - second, clusters)
    if len(sizes) < 2:
        raise StatsUnavailable("all samples belong to one cluster")
    sums = np.rint(totals).astype(np.int64)
    chances = sign_flips(np.abs(sums[sums != 0]))
    reach = len(chances) // 2
    distance = np.abs(np.arange(len(chances)) - reach)
    seen = abs(int(sums.sum()))
    beyond, equal = float(chances[distance > seen].sum()), float(chances[distance == seen].sum())
    return min(1.0, beyond + equal * (0.5 if mid_p else 1.0)) if reach else 1.0


def sign_flips(sizes: Ints) -> Floats:
    """Distribution of the sum of +-sizes with fair independent signs, over -sum(sizes)..sum(sizes).

    Args:
        sizes: whole numbers of at least 1; may be empty.
    """
    chances = np.ones(1)
    for size, amount in zip(*np.unique(sizes, return_counts=True), strict=True):
        spread = np.zeros(2 * int(size) * int(amount) + 1)
        spread[:: 2 * int(size)] = binomial_pmf(np.arange(amount + 1), int(amount), 0.5)
        chances = np.convolve(chances, spread)
    return chances
