"""Numbers with their intervals as rows of a table, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evalkit.analysis.frames import Bools, Floats, Ints
from evalkit.stats import Estimate, StatsUnavailable, mean, quantile, share

NAN = math.nan

COLUMNS: dict[str, tuple[str, str]] = {
    "value": ("float64", "the figure; NaN where it is not available"),
    "low": ("float64", "lower end of the 95 % interval; NaN where there is none"),
    "high": ("float64", "upper end"),
    "n": ("int64", "rows it rests on: the denominator of a share"),
    "count": ("float64", "numerator of a share; NaN where it is none"),
    "clusters": ("float64", "groups of rows that the interval counts instead of rows; NaN where rows stand alone"),
    "unknown": ("int64", "rows left out because nobody knows their value"),
    "method": ("str", "how the interval came about; empty without one"),
    "why": (
        "str",
        "what follows 'not available, because': of the value, or of the interval where only that is missing",
    ),
}
"""The columns that end every table of measures."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; the fields are the columns of `COLUMNS`."""

    value: float = NAN
    low: float = NAN
    high: float = NAN
    n: int = 0
    count: float = NAN
    clusters: float = NAN
    unknown: int = 0
    method: str = ""
    why: str = ""

    @property
    def available(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)


class Rows(NamedTuple):
    """Keys and measures of a table that is being made."""

    keys: tuple[str, ...]
    found: list[tuple[Any, ...]]

    def add(self, keys: Sequence[str], measure: Measure) -> None:
        """One more row."""
        self.found.append((*keys, *msgspec.structs.astuple(measure)))

    def table(self) -> pd.DataFrame:
        """The rows as a frame; keys are categories."""
        names = [*self.keys, *COLUMNS]
        columns = zip(*self.found, strict=True) if self.found else ((),) * len(names)
        table: dict[str, Any] = {}
        for name, values in zip(names, columns, strict=True):
            if name in COLUMNS:
                table[name] = pd.array(values, dtype="str") if COLUMNS[name][0] == "str" else np.array(
                    values, dtype=COLUMNS[name][0]
                )  # fmt: skip
            else:
                table[name] = pd.Categorical(values, categories=pd.Index(list(dict.fromkeys(values)), dtype="str"))
        return pd.DataFrame(table)


def missing(why: str, n: int = 0, unknown: int = 0) -> Measure:
    """A figure that is not available."""
    return Measure(n=n, unknown=unknown, why=why)


def share_of(flags: npt.ArrayLike, clusters: Ints) -> Measure:
    """The share of true flags.

    Args:
        flags: shape (n,).
        clusters: a number per row; rows with equal numbers are not independent.
    """
    array = np.asarray(flags, dtype=bool)
    n, count = len(array), int(np.count_nonzero(array))
    if not n:
        return missing("there is no such row")
    return _measured(lambda: count / n, lambda: share(array, clusters), n=n, count=count)


def mean_of(values: Floats, clusters: Ints) -> Measure:
    """The mean of the values that are known; see `share_of`."""
    return _over_known(values, clusters, lambda known: float(known.mean()), mean)


def quantile_of(values: Floats, probability: float, clusters: Ints) -> Measure:
    """A quantile of the values that are known; see `share_of`."""
    return _over_known(
        values,
        clusters,
        lambda known: float(np.quantile(known, probability)),
        lambda known, labels: quantile(known, probability, labels),
    )


def ratio_of(part: Bools, whole: Bools, clusters: Ints, why: str) -> Measure:
    """The share of `part` among the rows of `whole`; not available, because of `why`, without such rows."""
    return share_of(part[whole], clusters[whole]) if whole.any() else missing(why)


def codes_of(rows: pd.DataFrame, column: str = "cluster") -> Ints:
    """A category column as numbers."""
    return rows[column].cat.codes.to_numpy().astype(np.int64)


def text_table(rows: Iterable[Sequence[Any]], columns: dict[str, str]) -> pd.DataFrame:
    """A plain table.

    Args:
        rows: in order.
        columns: name to dtype.
    """
    found = list(rows)
    values = list(zip(*found, strict=True)) if found else [()] * len(columns)
    return pd.DataFrame(
        {
            name: pd.array(column, dtype="str") if kind == "str" else np.array(column, dtype=kind)
            for (name, kind), column in zip(columns.items(), values, strict=True)
        }
    )


def _over_known(
    values: Floats,
    clusters: Ints,
    value: Callable[[Floats], float],
    estimate: Callable[[Floats, Ints], Estimate],
) -> Measure:
    there = ~np.isnan(values)
    known, unknown = values[there], int(np.count_nonzero(~there))
    if not len(known):
        return missing("nobody measured it" if unknown else "there is no such row", unknown=unknown)
    return _measured(lambda: value(known), lambda: estimate(known, clusters[there]), n=len(known), unknown=unknown)


def _measured(
    value: Callable[[], float], estimate: Callable[[], Estimate], *, n: int, count: float = NAN, unknown: int = 0
) -> Measure:
    """The estimate, or the bare value and the reason why it has no interval."""
    try:
        found = estimate()
    except StatsUnavailable as error:
        return Measure(value=value(), n=n, count=count, unknown=unknown, why=error.reason)
    return Measure(
        value=found.value,
        low=found.interval.low,
        high=found.interval.high,
        n=n,
        count=count,
        clusters=NAN if found.clusters is None else found.clusters,
        unknown=unknown,
        method=found.method,
    )
