"""Can a printed figure be a count over n at all, and by which kind of rounding?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

_FIGURE = re.compile(r"(\d{1,6})(?:\.(\d{1,9}))?")
_MARGIN = 2


class Rounding(StrEnum):
    """How a share may have become the printed figure, the most usual first."""

    HALF_UP = "half up"
    HALF_EVEN = "half even"
    TRUNCATED = "truncated"
    DOUBLE = "rounded twice"
    """First to one decimal more, then again: 92.147 to 92.15 to 92.2."""


@dataclass(frozen=True, slots=True)
class Granularity:
    """Which counts give a printed figure.

    Attributes:
        figure: as printed.
        n: samples.
        counts: per rounding, the counts (in steps of `1 / steps` samples) that print as the figure; rarely several.
    """

    figure: str
    n: int
    counts: dict[Rounding, tuple[int, ...]]

    @property
    def reachable(self) -> bool:
        """Whether some count gives the figure when rounded once, half up or half even."""
        return bool(self.counts[Rounding.HALF_UP] or self.counts[Rounding.HALF_EVEN])

    @property
    def rounding(self) -> Rounding | None:
        """The most usual rounding that gives the figure; None where none does."""
        return next((kind for kind in Rounding if self.counts[kind]), None)


def granularity(figure: str, n: int, *, scale: int = 100, steps: int = 1) -> Granularity:
    """Looks for the counts k for which `scale * k / (n * steps)` prints as the figure.

    A figure that no count gives comes from several runs, a macro average, another denominator or a slip. All
    arithmetic is exact.

    Source: N. J. L. Brown, J. A. J. Heathers, The GRIM test, Social Psychological and Personality Science 8 (2017).

    Args:
        figure: as printed, with its decimals: `88.0` and `88` differ.
        n: samples, at least 1.
        scale: 100 for percent, 1 for shares.
        steps: parts of a sample that can be won: 2 where a sample can score half a point, k for a mean of k repeats.

    Raises:
        ValueError: the figure is no plain decimal number or above the scale, or n, scale or steps is below 1.
    """
    match = _FIGURE.fullmatch(figure)
    if match is None:
        raise ValueError(f"a figure as printed is needed, such as '88.7', not '{figure}'")
    if n < 1 or scale < 1 or steps < 1:
        raise ValueError(f"n {n}, scale {scale} and steps {steps} must be at least 1")
    printed, decimals = Decimal(figure), len(match[2] or "")
    if printed > scale:
        raise ValueError(f"the figure {figure} is above {scale}")
    total = n * steps
    unit = Fraction(total, scale)
    reach = unit / 10**decimals * _MARGIN
    centre = Fraction(printed) * unit
    near = range(max(0, int(centre - reach)), min(total, int(centre + reach) + 1) + 1)
    found: dict[Rounding, list[int]] = {kind: [] for kind in Rounding}
    for k in near:
        exact = Fraction(scale * k, total)
        for kind, value in _printed(exact, decimals).items():
            if value == printed:
                found[kind].append(k)
    return Granularity(figure, n, {kind: tuple(hits) for kind, hits in found.items()})


def _printed(exact: Fraction, decimals: int) -> dict[Rounding, Decimal]:
    """The figure under each kind of rounding."""
    return {
        Rounding.HALF_UP: _half_up(exact, decimals),
        Rounding.HALF_EVEN: Decimal(round(exact * 10**decimals)).scaleb(-decimals),
        Rounding.TRUNCATED: Decimal(int(exact * 10**decimals)).scaleb(-decimals),
        Rounding.DOUBLE: _half_up(Fraction(_half_up(exact, decimals + 1)), decimals),
    }


def _half_up(exact: Fraction, decimals: int) -> Decimal:
    """Rounded once, a half away from zero."""
    return Decimal(int(exact * 10**decimals + Fraction(1, 2))).scaleb(-decimals)
