"""A run against a published mean, of which no sample is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evalkit.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """Own share minus a published one.

    Attributes:
        value: own - published, in share units.
        interval: of the difference.
        kind: `one-sample` (the published mean is taken as exact, its own sampling error is left out) or
            `two-sample` (both have sampling error, and the pairing, which would sharpen the comparison, is unknown).
    """

    value: float
    interval: Interval
    kind: Literal["one-sample", "two-sample"]

    @property
    def caveat(self) -> str:
        """What to print beside the interval."""
        if self.kind == "one-sample":
            return "one-sample interval: the published mean is taken as exact"
        return "two-sample interval: the pairing with the published run is unknown"


def against_published(
    share: float,
    interval: Interval,
    published: float,
    *,
    published_n: int | None = None,
    confidence: float = 0.95,
) -> PublishedDifference:
    """Difference between a share with its interval and a published mean.

    One-sample: the interval of the share, moved by the published mean. Two-sample: the interval from the two
    intervals, the published one by Wilson with its rounded count; for two Wilson intervals that is Newcombe's hybrid
    score interval.

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998), method 10; for any two intervals: G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008).

    Args:
        share: own estimate, in [0, 1].
        interval: of the own estimate, e.g. of `share` or `cluster_wilson`, at the same confidence.
        published: in share units, in [0, 1].
        published_n: samples behind the published mean, where its sampling error is to count.
        confidence: of both intervals; used for the published one.

    Raises:
        ValueError: a share lies outside 0..1 or outside its interval, published_n is below 1.
    """
    if not 0 <= share <= 1 or not 0 <= published <= 1:
        raise ValueError(f"shares must lie between 0 and 1, not {share} and {published} (91.1 % is 0.911)")
    if not interval.low <= share <= interval.high:
        raise ValueError(f"the share {share} lies outside its interval {interval.low}..{interval.high}")
    value = share - published
    if published_n is None:
        return PublishedDifference(value, Interval(interval.low - published, interval.high - published), "one-sample")
    if published_n < 1:
        raise ValueError(f"published_n must be at least 1, not {published_n}")
    theirs = wilson(round(published * published_n), published_n, confidence)
    # The count is rounded, so the published figure itself can lie a hair outside where nothing or all was right.
    theirs = Interval(min(theirs.low, published), max(theirs.high, published))
    below = math.hypot(share - interval.low, theirs.high - published)
    above = math.hypot(interval.high - share, published - theirs.low)
    return PublishedDifference(value, Interval(value - below, value + above), "two-sample")
