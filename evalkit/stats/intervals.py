"""Intervals for a share."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


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
        ValueError: the arguments are out of range.
    """
    if not 0 <= successes <= n or n < 1 or not 0 < confidence < 1:
        raise ValueError(f"wilson({successes}, {n}, {confidence})")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(low, high)
