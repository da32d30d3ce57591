"""A metric with one value per sample in both runs: means over the same samples, and their ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from evalkit.analysis.figure import UNIT, Figure, codes_of, kept_within
from evalkit.gate.contrasts.contrast import Direction, enough
from evalkit.stats import StatsUnavailable

FEW = 10
"""With fewer clusters that changed, a t interval is too narrow, and is widened."""


class Values(msgspec.Struct, frozen=True):
    """One value per sample in both runs.

    Attributes:
        new: shape (n,), n at least 1.
        old: the same samples in the same order.
        clusters: what samples that are not independent share.
    """

    new: tuple[float, ...]
    old: tuple[float, ...]
    clusters: tuple[str, ...]


class PairedMeans:
    """Student's t over the differences, or its cluster form, and never an interval without a width."""

    def __init__(self, values: Values, *, share: bool, confidence: float, notes: tuple[str, ...] = ()) -> None:
        """Take the values.

        Args:
            values: of both runs.
            share: whether they lie between 0 and 1.
            confidence: of every interval.
            notes: what a reader must know.
        """
        self.notes = notes
        self.fewest: int | None = None
        self.paired: int | None = len(values.new)
        self._new, self._old = list(values.new), list(values.old)
        self._clusters = codes_of(values.clusters)
        self._share, self._confidence = share, confidence
        self.new = self._figure(self._new)
        self.baseline: Figure | None = self._figure(self._old)

    def difference(self, relative: bool) -> Figure:
        """See `Contrast`."""
        if len(self._new) < 2:
            return Figure(n=len(self._new), why="there is one sample only")
        if relative:
            return self._ratio()
        interval = self._interval(0.0)
        few = interval is None or sum(self._moved(lambda new, old: new - old)) < FEW
        value = math.fsum(new - old for new, old in zip(self._new, self._old, strict=True)) / len(self._new)
        found = Figure(value=value, low=value, high=value, n=len(self._new), method="few changes")
        if interval is not None:
            method = "t" if len(set(self._clusters)) == len(self._new) else "cluster_robust"
            found = msgspec.structs.replace(found, low=interval[0], high=interval[1], method=method)
        return self._widened(found, 1.0) if few else found

    def beyond(self, limit: float, side: Direction, relative: bool) -> float | None:
        """See `Contrast`; with few changes, or changes that are all the same, no smaller than the sign test's."""
        from evalkit import stats

        if self.difference(relative).low is None:
            return None
        scaled = [(1 + limit) * old for old in self._old] if relative else [old + limit for old in self._old]
        above, below = self._moved(lambda new, old: new - ((1 + limit) * old if relative else old + limit))
        more, less = (above, below) if side is Direction.ABOVE else (below, above)
        try:
            found = stats.paired_mean_difference(self._new, scaled, self._clusters, self._confidence)
            two = stats.t_test(found)
            p = two / 2 if found.value * side > 0 else 1 - two / 2
            if more + less >= FEW:
                return p
        except StatsUnavailable:
            # all samples moved by the same amount: there is no spread, and only the sign test says anything
            p = 0.0
        signs = stats.mcnemar(more, less)
        return max(p, signs / 2 if more > less else 1 - signs / 2)

    def needed(self, limit: float, side: Direction, relative: bool) -> int | None:
        """See `Contrast`."""
        return enough(self.difference(relative), limit, side, len(self._new), self._confidence)

    def _figure(self, values: Sequence[float]) -> Figure:
        from evalkit import stats

        n = len(values)
        try:
            estimate = stats.mean(values, self._clusters, self._confidence)
        except StatsUnavailable as error:
            value = math.fsum(values) / n
            if n < 2:
                return Figure(value=value, n=n, why=error.reason)
            found = self._widened(Figure(value=value, low=value, high=value, n=n, method="few changes"), 1.0)
        else:
            low, high = estimate.interval
            found = Figure(value=estimate.value, low=low, high=high, n=n, method=estimate.method)
        return kept_within(found, UNIT) if self._share else found

    def _interval(self, ratio: float) -> tuple[float, float] | None:
        """Of the mean of new - (1 + ratio) old; None where all samples give the same."""
        from evalkit import stats

        scaled = [(1 + ratio) * old for old in self._old]
        try:
            low, high = stats.paired_mean_difference(self._new, scaled, self._clusters, self._confidence).interval
        except StatsUnavailable:
            return None
        return low, high

    def _ratio(self) -> Figure:
        """The ratio of the means minus 1: all r for which new - (1 + r) old has an interval with 0 in it.

        Source: E. C. Fieller, Some problems in interval estimation, J. R. Statist. Soc. B 16 (1954).
        """
        n, base = len(self._new), math.fsum(self._old) / len(self._old)
        if base <= 0:
            return Figure(n=n, why="the baseline's mean is 0, and nothing is a share of that")
        value = math.fsum(self._new) / n / base - 1

        def inside(r: float) -> bool:
            interval = self._interval(r)
            return interval is not None and interval[0] <= 0 <= interval[1]

        low, high = (_end(inside, value, side) for side in (-1, 1))
        found = Figure(value=value, low=low, high=high, n=n, method="fieller")
        few = self._interval(value) is None or sum(self._moved(lambda new, old: new - old)) < FEW
        return self._widened(found, base) if few else found

    def _widened(self, found: Figure, unit: float) -> Figure:
        """At least as wide as if every sample that may have changed unseen had changed as far as any value reaches."""
        from evalkit import stats

        if found.value is None or found.low is None or found.high is None:
            return found
        reach = 1.0 if self._share else max(*self._new, *self._old) or 1.0
        none = [0] * len(self._new)
        try:
            unseen = stats.paired_difference(none, none, self._clusters, self._confidence).interval.high
        except StatsUnavailable as error:
            return msgspec.structs.replace(found, low=None, high=None, why=error.reason)
        width = unseen * reach / unit
        low, high = min(found.low, found.value - width), max(found.high, found.value + width)
        return msgspec.structs.replace(found, low=low, high=high)

    def _moved(self, step: Callable[[float, float], float]) -> tuple[int, int]:
        """Clusters whose values moved up and down, by what `step` makes of a sample's new and old value."""
        sums: dict[int, float] = {}
        changed: set[int] = set()
        for new, old, cluster in zip(self._new, self._old, self._clusters.tolist(), strict=True):
            moved = step(new, old)
            sums[cluster] = sums.get(cluster, 0.0) + moved
            if moved:
                changed.add(cluster)
        up = sum(total > 0 for total in sums.values())
        return up, len(changed) - up


def _end(inside: Callable[[float], bool], value: float, side: int) -> float:
    """The end of an interval around a value by bisection; endless where it has none within reach."""
    near, far = value, value + side * max(abs(value), 1.0)
    for _ in range(12):
        if not inside(far):
            break
        near, far = far, value + (far - value) * 2
    else:
        return side * math.inf
    for _ in range(40):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return near
