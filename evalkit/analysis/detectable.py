"""The smallest difference in accuracy that a comparison of this size could have seen."""

from __future__ import annotations

from statistics import NormalDist

import msgspec

from evalkit.analysis.paired_figures import ALPHA, Figure
from evalkit.stats import StatsUnavailable

POWER = 0.8


class Detectable(msgspec.Struct, frozen=True, kw_only=True):
    """A minimal detectable effect.

    Attributes:
        value: in share units, for one test at `alpha` without adjustment; None where it is not available.
        power: probability to see it.
        alpha: two-sided level.
        why: the reason where it is not available.
    """

    value: float | None = None
    power: float = POWER
    alpha: float = ALPHA
    why: str = ""


def detectable(figure: Figure) -> Detectable:
    """What a paired comparison of shares could see, given how often the two runs disagree.

    Where each sample has one yes or no in each run, by enumeration (`minimal_detectable_effect`) at the observed
    share of discordant pairs and the observed design effect. With repeats, the normal approximation: standard error
    of the difference times the sum of the two quantiles.
    """
    from evalkit.stats import minimal_detectable_effect

    if figure.counts is None:
        if not figure.standard_error:
            return Detectable(why=figure.why or "no sample differs, so nothing is known of how much they vary")
        normal = NormalDist()
        return Detectable(value=figure.standard_error * (normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)))
    discordant = figure.counts.only_new + figure.counts.only_old
    if not discordant:
        return Detectable(why="no sample differs, so nothing is known of how much they vary")
    if not figure.effective_n:
        return Detectable(why=figure.why)
    design = max(1.0, figure.n / figure.effective_n)
    try:
        value = minimal_detectable_effect(
            figure.n, discordant / figure.n, power=POWER, alpha=ALPHA, design_effect=design
        )
    except StatsUnavailable as error:
        return Detectable(why=str(error))
    return Detectable(value=value)
