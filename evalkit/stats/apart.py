"""Two figures that have an interval each, and of which no sample is paired: their difference and their ratio."""

from __future__ import annotations

import math

from evalkit.stats.intervals import Interval
from evalkit.stats.unavailable import StatsUnavailable


def difference_apart(new: float, new_interval: Interval, old: float, old_interval: Interval) -> Interval:
    """Interval of new - old from the two intervals, at their confidence.

    It takes the figures as independent: where both come from the same samples, which mostly move them the same way,
    it is wider than need be.

    Source: method of variance estimates recovery (MOVER): G. Y. Zou, A. Donner, Construction of confidence limits about
    effect measures: a general approach, Statistics in Medicine 27 (2008).

    Args:
        new: an estimate.
        new_interval: its interval, which contains it.
        old: another estimate, in the same unit.
        old_interval: its interval, at the same confidence.

    Raises:
        ValueError: an estimate lies outside its interval.
    """
    for value, (low, high) in ((new, new_interval), (old, old_interval)):
        if not low <= value <= high:
            raise ValueError(f"the estimate {value} lies outside its interval {low}..{high}")
    value = new - old
    below = math.hypot(new - new_interval.low, old_interval.high - old)
    above = math.hypot(new_interval.high - new, old - old_interval.low)
    return Interval(value - below, value + above)


def ratio_apart(new: float, new_interval: Interval, old: float, old_interval: Interval) -> Interval:
    """Interval of new / old from the two intervals: that of the difference of their logarithms.

    Source: see `difference_apart`.

    Args:
        new: an estimate above 0.
        new_interval: its interval; its lower end may be 0.
        old: another estimate above 0.
        old_interval: its interval, at the same confidence.

    Raises:
        StatsUnavailable: an estimate is not above 0.
        ValueError: an estimate lies outside its interval.
    """
    if new <= 0 or old <= 0:
        raise StatsUnavailable("a ratio needs figures above 0")
    logs = [Interval(_log(low), _log(high)) for low, high in (new_interval, old_interval)]
    low, high = difference_apart(math.log(new), logs[0], math.log(old), logs[1])
    return Interval(math.exp(low), math.exp(high) if high < 700 else math.inf)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
