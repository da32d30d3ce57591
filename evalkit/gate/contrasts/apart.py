"""A metric that is one figure per run (a rate of rates, a quantile, a published mean): nothing of it is paired."""

from __future__ import annotations

from statistics import NormalDist

import msgspec

from evalkit.analysis.figure import Figure
from evalkit.gate.contrasts.contrast import Direction, enough, tail
from evalkit.stats import Interval, StatsUnavailable

NOTED = 0.95
"""Confidence of the intervals that figures of the analysis have."""


class Apart:
    """Two figures with an interval each."""

    def __init__(
        self,
        new: Figure,
        baseline: Figure | None,
        *,
        confidence: float,
        paired: int | None = None,
        fewest: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Take the figures.

        Args:
            new: the new run's, at `confidence`.
            baseline: the baseline's, at `confidence`; None where it has none.
            confidence: of every interval.
            paired: samples that both runs have.
            fewest: samples without which such a figure has no interval.
            notes: what a reader must know.
        """
        self.new, self.baseline, self.paired, self.notes = new, baseline, paired, notes
        self.fewest, self._confidence = fewest, confidence

    def difference(self, relative: bool) -> Figure:
        """See `Contrast`."""
        from evalkit import stats

        new, old = self.new, self.baseline
        if old is None or new.value is None or old.value is None:
            return Figure(n=new.n, why=new.why or (old.why if old is not None else "") or "the baseline has none")
        if relative and old.value <= 0:
            return Figure(n=new.n, why="the baseline's figure is 0, and nothing is a share of that")
        value = new.value / old.value - 1 if relative else new.value - old.value
        if new.low is None or new.high is None or old.low is None or old.high is None:
            return Figure(value=value, n=new.n, why=new.why or old.why)
        parts = (new.value, Interval(new.low, new.high), old.value, Interval(old.low, old.high))
        try:
            low, high = (stats.ratio_apart if relative else stats.difference_apart)(*parts)
        except StatsUnavailable as error:
            return Figure(value=value, n=new.n, why=error.reason)
        shift = 1.0 if relative else 0.0
        return Figure(value=value, low=low - shift, high=high - shift, n=new.n, method="mover")

    def beyond(self, limit: float, side: Direction, relative: bool) -> float | None:
        """See `Contrast`."""
        return tail(self.difference(relative), limit, side, self._confidence)

    def needed(self, limit: float, side: Direction, relative: bool) -> int | None:
        """See `Contrast`."""
        n = self.new.n
        found = self.difference(relative)
        if found.low is None:
            return self.fewest if self.fewest is not None and self.fewest > n else None
        return enough(found, limit, side, n, self._confidence)


def at_confidence(found: Figure, confidence: float) -> Figure:
    """A figure of the analysis with its 95 % interval stretched to another confidence."""
    if confidence == NOTED or found.value is None or found.low is None or found.high is None:
        return found
    normal = NormalDist()
    scale = normal.inv_cdf((1 + confidence) / 2) / normal.inv_cdf((1 + NOTED) / 2)
    low, high = (found.value + (end - found.value) * scale for end in (found.low, found.high))
    return msgspec.structs.replace(found, low=max(low, 0.0), high=min(high, 1.0))
