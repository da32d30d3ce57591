"""An estimate with its interval and how both came about."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or share, with a confidence interval.

    Attributes:
        value: the estimate, in the unit of the data.
        interval: in the same unit; contains `value`.
        method: name of the function that made the interval.
        n: samples.
        clusters: independent groups of samples; None where every sample stands for itself.
        standard_error: of `value`; None where the method has none.
        df: degrees of freedom of the t quantile used; infinite for the normal.
        effective_n: number of independent samples that carry as much information; None where not used.
    """

    value: float
    interval: Interval
    method: str
    n: int
    clusters: int | None = None
    standard_error: float | None = None
    df: float | None = None
    effective_n: float | None = None
