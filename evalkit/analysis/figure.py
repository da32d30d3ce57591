"""One number with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from evalkit import stats
from evalkit.stats import Interval, StatsUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from evalkit.stats import Estimate

    Codes = NDArray[np.int64]

UNIT = Interval(0.0, 1.0)
"""What a share can be."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A figure as it is printed.

    Attributes:
        value: None where the data cannot give it.
        low: lower end of the 95 % interval; None where there is a value without an interval.
        high: upper end.
        n: rows that it rests on: the denominator of a share.
        count: numerator of a share; None where it is no count.
        method: how value and interval came about, e.g. "wilson".
        why: what stands after "not available, because": of the value, or of the interval where only that is missing.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    count: int | None = None
    method: str = ""
    why: str = ""


BELOW_CHANCE = "fewer are right than guessing gives, further than chance explains: wrong answers may be no guesses"


def kept_within(found: Figure, bounds: Interval) -> Figure:
    """The figure with value and interval moved to the nearest value that the quantity can have."""
    value, low, high = (
        None if x is None else min(max(x, bounds.low), bounds.high) for x in (found.value, found.low, found.high)
    )
    return msgspec.structs.replace(found, value=value, low=low, high=high)


def figure(compute: Callable[[], Figure], n: int = 0) -> Figure:
    """What `compute` gives, or the reason why that is not available.

    Args:
        compute: may raise `StatsUnavailable`.
        n: rows that the figure would rest on.
    """
    try:
        return compute()
    except StatsUnavailable as error:
        return Figure(n=n, why=error.reason)


def codes_of(clusters: Sequence[str]) -> Codes:
    """Cluster labels as numbers, for functions that take them many times over."""
    import numpy as np

    known: dict[str, int] = {}
    return np.asarray([known.setdefault(cluster, len(known)) for cluster in clusters], dtype=np.int64)


def share_of(values: ArrayLike, clusters: Codes) -> Figure:
    """A share of rows with its interval.

    Args:
        values: 0 or 1, shape (n,).
        clusters: see `codes_of`, shape (n,).

    Raises:
        StatsUnavailable: there is no row.
    """
    return _with_value(lambda: stats.share(values, clusters), values, shares=True)


def mean_of(values: Sequence[float] | NDArray[np.float64], clusters: Codes, bounds: Interval | None) -> Figure:
    """A mean with its t interval, kept within what the mean can be (None: anything).

    Raises:
        StatsUnavailable: there is no row.
    """
    return _with_value(lambda: stats.mean(values, clusters), values, bounds)


def quantile_of(values: Sequence[float], probability: float, clusters: Codes) -> Figure:
    """A quantile with its interval, or with the reason why it has none.

    Raises:
        StatsUnavailable: there is no row.
    """
    import numpy as np

    try:
        return _figure_of(stats.quantile(values, probability, clusters))
    except StatsUnavailable as error:
        if not len(values):
            raise
        return Figure(value=float(np.quantile(values, probability)), n=len(values), why=error.reason)


def bounded_mean(values: Sequence[float], clusters: Codes) -> Figure:
    """Mean of values between 0 and 1: a share's interval where all are 0 or 1, else Student's or its cluster form.

    Where all values are equal there is no spread to go by, and the interval is as wide as if each were 0 or 1.

    Raises:
        StatsUnavailable: there is no row.
    """
    if all(value in (0, 1) for value in values):
        return share_of(values, clusters)
    if len(set(values)) > 1:
        return mean_of(values, clusters, UNIT)
    return ratio_of(values, [1.0] * len(values), clusters)


def ratio_of(
    above: Sequence[float], below: Sequence[float], clusters: Codes, top: float = 1.0, *, bounds: Interval | None = UNIT
) -> Figure:
    """A ratio of two sums that lies between 0 and 1, see `stats.ratio`; with `bounds` None between 0 and `top`.

    Raises:
        StatsUnavailable: the denominators are all 0.
    """
    try:
        found = stats.ratio(above, below, clusters, top=top)
    except StatsUnavailable as error:
        n = sum(size > 0 for size in below)
        if not n:
            raise
        return _bounded(Figure(value=sum(above) / sum(below), n=n, why=error.reason), bounds)
    return _bounded(_figure_of(found), bounds)


def mirrored(share: Figure) -> Figure:
    """One minus a share."""
    return msgspec.structs.replace(
        share,
        value=None if share.value is None else 1 - share.value,
        low=None if share.high is None else 1 - share.high,
        high=None if share.low is None else 1 - share.low,
        count=None if share.count is None else share.n - share.count,
    )


def _with_value(
    estimate: Callable[[], Estimate], values: ArrayLike, bounds: Interval | None = None, *, shares: bool = False
) -> Figure:
    """The mean of the values, with its interval or the reason why there is none."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    count = round(float(array.sum())) if shares else None
    try:
        found = estimate()
    except StatsUnavailable as error:
        if not array.size:
            raise
        return _bounded(Figure(value=float(array.mean()), n=len(array), count=count, why=error.reason), bounds)
    return _bounded(msgspec.structs.replace(_figure_of(found), count=count), bounds)


def _figure_of(found: Estimate) -> Figure:
    low, high = found.interval
    return Figure(value=found.value, low=low, high=high, n=found.n, method=found.method)


def _bounded(found: Figure, bounds: Interval | None) -> Figure:
    return found if bounds is None else kept_within(found, bounds)
