"""Whether one run is ahead of others over the rows they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from evalkit.analysis.row_index import RowIndex
from evalkit.stats import StatsUnavailable

ALPHA = 0.05

Column = Callable[[RowIndex], Sequence[bool | None]]
"""A yes or no per row; None where it is not known."""


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One run against another.

    Attributes:
        other: its place among the others.
        n: rows that both have, with the same question, and of which both are known.
        difference: the first run's share minus the other's; None without such rows.
        low: lower end of the 95 % interval; None where it is not available.
        high: upper end.
        p: two-sided, of no difference, adjusted; None where nothing was tested.
    """

    other: int
    n: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def ahead(self) -> bool:
        """Whether the first run's share is shown to be higher."""
        return self._shown and (self.difference or 0) > 0

    @property
    def behind(self) -> bool:
        """Whether it is shown to be lower."""
        return self._shown and (self.difference or 0) < 0

    @property
    def _shown(self) -> bool:
        return self.p is not None and self.p <= ALPHA


def against(first: RowIndex, others: Sequence[RowIndex], column: Column) -> list[Against]:
    """Paired tests of one run against others (see `stats.paired_difference`).

    The first run is one that was picked for its figure, so that any pair of runs could have been the one that is
    tested: p is Holm's over all of them, in which the pairs without the first run count as not significant.

    Args:
        first: the run picked.
        others: all it was picked from.
        column: what is compared.
    """
    from evalkit.stats import holm

    found = [_pair(first, other, column, place) for place, other in enumerate(others)]
    tested = [one for one in found if one.p is not None]
    if not tested:
        return found
    pairs = len(others) * (len(others) + 1) // 2
    adjusted = holm([one.p or 0.0 for one in tested] + [1.0] * (pairs - len(tested)))
    for one, p in zip(tested, adjusted, strict=False):
        found[one.other] = msgspec.structs.replace(one, p=float(p))
    return found


def _pair(first: RowIndex, other: RowIndex, column: Column, place: int) -> Against:
    from evalkit.stats import paired_difference

    places = {id: i for i, id in enumerate(other.ids)}
    mine, theirs = column(first), column(other)
    new, old, clusters = [], [], []
    for i, id in enumerate(first.ids):
        j = places.get(id)
        if j is None or first.questions[i] != other.questions[j]:
            continue
        a, b = mine[i], theirs[j]
        if a is not None and b is not None:
            new.append(a)
            old.append(b)
            clusters.append(first.clusters[i])
    if not new:
        return Against(other=place, n=0)
    try:
        test = paired_difference(new, old, clusters)
    except StatsUnavailable:
        return Against(other=place, n=len(new), difference=(sum(new) - sum(old)) / len(new))
    return Against(
        other=place,
        n=len(new),
        difference=test.value,
        low=test.interval.low,
        high=test.interval.high,
        p=test.p_value,
    )
