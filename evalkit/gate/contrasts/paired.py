"""A metric with one value per sample in both runs; a yes or no in each is counted, all else is averaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from evalkit.analysis.figure import Figure
from evalkit.gate.contrasts.contrast import POWER, Contrast, Direction
from evalkit.gate.contrasts.means import PairedMeans, Values
from evalkit.stats import StatsUnavailable


def paired(values: Values, *, share: bool, confidence: float, notes: tuple[str, ...] = ()) -> Contrast:
    """The contrast of a metric over the same samples; see `PairedMeans`."""
    binary = share and all(value in (0.0, 1.0) for value in (*values.new, *values.old))
    return (PairedShares if binary else PairedMeans)(values, share=share, confidence=confidence, notes=notes)


class PairedShares(PairedMeans):
    """Shares of samples with one yes or no in each run: Tango's interval, McNemar's and Tango's tests."""

    def difference(self, relative: bool) -> Figure:
        """See `Contrast`."""
        from evalkit import stats

        if relative:
            return super().difference(relative)
        n = len(self._new)
        try:
            found = stats.paired_difference(self._new, self._old, self._clusters, self._confidence)
        except StatsUnavailable as error:
            return Figure(value=(sum(self._new) - sum(self._old)) / n, n=n, why=error.reason)
        low, high = found.interval
        return Figure(value=found.value, low=low, high=high, n=n, method=found.method)

    def beyond(self, limit: float, side: Direction, relative: bool) -> float | None:
        """See `Contrast`."""
        from evalkit import stats

        if relative:
            return super().beyond(limit, side, relative)
        new, old = (self._new, self._old) if side is Direction.ABOVE else (self._old, self._new)
        try:
            return stats.beyond(new, old, side * limit, self._clusters)
        except StatsUnavailable:
            return None

    def needed(self, limit: float, side: Direction, relative: bool) -> int | None:
        """See `Contrast`; for a share by enumeration of the discordant pairs."""
        from evalkit import stats

        if relative or limit * side <= 0:
            return super().needed(limit, side, relative)
        n = len(self._new)
        try:
            found = stats.paired_difference(self._new, self._old, self._clusters, self._confidence)
        except StatsUnavailable:
            return None
        design = max(1.0, n / found.effective_n)
        seen = discordance_seen(found.counts.new_only, found.counts.old_only, n)
        for difference in (0.0, -side * found.value):
            more = _needed(seen, abs(limit), difference, (1 - self._confidence) / 2, round(design, 1))
            if more is not None and more > n:
                return more
        return None

    def _figure(self, values: Sequence[float]) -> Figure:
        from evalkit import stats

        n, count = len(values), round(sum(values))
        try:
            found = stats.share(values, self._clusters, self._confidence)
        except StatsUnavailable as error:
            return Figure(value=count / n, n=n, count=count, why=error.reason)
        low, high = found.interval
        return Figure(value=found.value, low=low, high=high, n=n, count=count, method=found.method)


def discordance_seen(new_only: float, old_only: float, n: float) -> float:
    """Share of samples on which two runs will disagree, from how many did: never 0, as the next one may.

    Source: half a sample is added as in H. Jeffreys' prior, Theory of Probability (1961), section 3.1.
    """
    return (new_only + old_only + 0.5) / (n + 1)


@lru_cache(maxsize=4096)
def _needed(discordance: float, margin: float, difference: float, alpha: float, design: float) -> int | None:
    from evalkit import stats

    try:
        return stats.needed_n_non_inferiority(
            max(discordance, abs(difference)),
            margin,
            difference=difference,
            power=POWER,
            alpha=alpha,
            design_effect=design,
        )
    except StatsUnavailable:
        return None
