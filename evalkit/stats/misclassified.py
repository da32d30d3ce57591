"""Shares that an imperfect judge counted, corrected by how often it errs on labelled samples."""

from __future__ import annotations

import math
from typing import NamedTuple

from numpy.typing import ArrayLike

from evalkit.stats._arrays import Labels, binary, check_confidence, cluster_sums, same_length
from evalkit.stats._special import normal_quantile, t_quantile
from evalkit.stats.clusters import cluster_variance
from evalkit.stats.estimate import Estimate
from evalkit.stats.intervals import Interval, score_interval
from evalkit.stats.judge_table import JudgeTable
from evalkit.stats.unavailable import StatsUnavailable


class _Rates(NamedTuple):
    """Sensitivity and specificity with their variances."""

    sensitivity: float
    specificity: float
    sensitivity_variance: float
    specificity_variance: float

    @property
    def youden(self) -> float:
        return self.sensitivity + self.specificity - 1

    def true_share(self, seen: float) -> float:
        """Rogan and Gladen's estimate from the share that the judge calls right; not cut to 0..1."""
        return (seen + self.specificity - 1) / self.youden

    def variance(self, true: float) -> float:
        """What the uncertainty of both rates adds to the variance of the estimate."""
        spread = true**2 * self.sensitivity_variance + (1 - true) ** 2 * self.specificity_variance
        return spread / self.youden**2


def rogan_gladen(called_right: int, n: int, table: JudgeTable, confidence: float = 0.95) -> Estimate:
    r"""Share of truly right samples among those that a judge ruled on.

    With sensitivity $Se$ and specificity $Sp$ of the judge and the share $q$ that it calls right, the estimate is
    $(q + Sp - 1) / (Se + Sp - 1)$, cut to 0..1. The interval carries the uncertainty of all three.

    Source: W. J. Rogan, B. Gladen, Estimating prevalence from the results of a screening test, American Journal of
    Epidemiology 107 (1978); the interval: Z. Lang, J. Reiczigel, Confidence limits for prevalence of disease adjusted
    for estimated sensitivity and specificity, Preventive Veterinary Medicine 113 (2014).

    Args:
        called_right: samples that the judge calls right, 0..n.
        n: samples that it ruled on, each standing alone.
        table: the judge on labelled samples that are like these.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample, the labelled ones do not tell the judge from chance, or with its errors on
            them no share of right samples could give what it says here: it errs otherwise on these.
        ValueError: the counts are out of range.
    """
    check_confidence(confidence)
    if n == 0 and called_right == 0:
        raise StatsUnavailable("there is no sample")
    if not 0 <= called_right <= n:
        raise ValueError(f"{called_right} of {n} samples called right: it must lie between 0 and n")
    z = normal_quantile((1 + confidence) / 2)
    value = _cut(_observed(table).true_share(called_right / n))
    rates = _told_from_chance(table, z)
    more = n + z * z
    seen = (called_right + z * z / 2) / more
    centre = rates.true_share(seen)
    shift = 2 * z * z * (centre * rates.sensitivity_variance - (1 - centre) * rates.specificity_variance)
    error = math.sqrt(seen * (1 - seen) / more / rates.youden**2 + rates.variance(centre))
    low, high = centre + shift - z * error, centre + shift + z * error
    if low > 1 or high < 0:
        more_or_fewer = "more" if low > 1 else "fewer"
        raise StatsUnavailable(f"the judge calls {more_or_fewer} right than its errors on the labelled samples explain")
    interval = Interval(min(_cut(low), value), max(_cut(high), value))
    return Estimate(value, interval, "rogan_gladen", n, standard_error=error)


def judged_share(
    right: ArrayLike,
    judged: ArrayLike,
    table: JudgeTable,
    clusters: Labels | None = None,
    confidence: float = 0.95,
) -> Estimate:
    r"""Share of right samples where rules decided some and a judge the others; only the judge's are corrected.

    The estimate is the mean of 0 or 1 for what the rules decided and Rogan and Gladen's $(q_i + Sp - 1) / (Se + Sp -
    1)$ for what the judge did, the mean of the latter cut to 0..1. Its variance is the (cluster-robust) one of that
    mean plus what the uncertainty of $Se$ and $Sp$ adds by the delta method, both at Lang and Reiczigel's rates with
    one success and one failure more; the interval is Wilson's at the number of samples with that variance.

    Source: see `rogan_gladen` and `cluster_wilson`, whose parts it joins; its coverage is simulated in
    `benchmarks/judging.py`.

    Args:
        right: 0 or 1 by whoever decided, shape (n,).
        judged: whether it was the judge, shape (n,).
        table: the judge on labelled samples that are like the judged ones.
        clusters: a label per sample, or None where samples are independent.
        confidence: two-sided coverage, in (0, 1).

    Raises:
        StatsUnavailable: there is no sample or only one cluster, or what `rogan_gladen` says of the judged ones.
        ValueError: lengths differ, a value is not 0 or 1, a label is missing.
    """
    check_confidence(confidence)
    flags, asked = binary(right, "right"), binary(judged, "judged") > 0
    same_length(right=flags, judged=asked)
    n, share = len(flags), float(asked.mean())
    z = normal_quantile((1 + confidence) / 2)
    rates = _told_from_chance(table, z)
    number, called = int(asked.sum()), int(flags[asked].sum())
    truly = rogan_gladen(called, number, table, confidence).value if number else 0.0
    value = float(flags[~asked].sum()) / n + share * truly
    values = flags.copy()
    values[asked] = (flags[asked] + rates.specificity - 1) / rates.youden
    totals, sizes = cluster_sums(values, list(range(n)) if clusters is None else clusters)
    _, variance, df = cluster_variance(totals, sizes)
    # a share of 0 or 1 has no spread of its own: Agresti and Coull's does not vanish
    middle = (n * value + z * z / 2) / (n + z * z)
    spread = middle * (1 - middle)
    sampling = max(variance, spread / n) if variance > 0 else spread / len(sizes)
    effective = spread / (sampling + share**2 * rates.variance(truly))
    interval = score_interval(value, effective, t_quantile((1 + confidence) / 2, df))
    groups = None if clusters is None else len(sizes)
    return Estimate(value, interval, "judged_share", n, groups, math.sqrt(spread / effective), df, effective)


def _observed(table: JudgeTable) -> _Rates:
    if min(table) < 0:
        raise ValueError(f"counts must not be negative: {table}")
    if not table.right or not table.wrong:
        raise StatsUnavailable(f"no labelled sample that is {'wrong' if table.right else 'right'} has a verdict")
    rates = _Rates(table.right_right / table.right, table.wrong_wrong / table.wrong, 0, 0)
    if rates.youden <= 0:
        raise StatsUnavailable("on the labelled samples the judge is no better than chance")
    return rates


def _told_from_chance(table: JudgeTable, z: float) -> _Rates:
    """Lang and Reiczigel's rates, one success and one failure more; close to chance no interval would hold."""
    _observed(table)
    ones = (table.right_right + 1) / (table.right + 2), (table.wrong_wrong + 1) / (table.wrong + 2)
    spreads = (p * (1 - p) / (n + 2) for p, n in zip(ones, (table.right, table.wrong), strict=True))
    rates = _Rates(*ones, *spreads)
    if rates.youden <= z * math.sqrt(rates.sensitivity_variance + rates.specificity_variance):
        raise StatsUnavailable("on so few labelled samples the judge cannot be told from chance")
    return rates


def _cut(share: float) -> float:
    return min(max(share, 0.0), 1.0)
