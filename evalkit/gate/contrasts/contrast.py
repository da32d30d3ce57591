"""What every kind of comparison can say, so that a check need not know which one it has."""

from __future__ import annotations

import math
from enum import IntEnum
from statistics import NormalDist
from typing import Protocol

from evalkit.analysis.figure import Figure
from evalkit.errors import EvalkitError

POWER = 0.8
"""Chance with which the samples that "would be enough" decide."""


class Unavailable(EvalkitError):
    """A figure that a rule needs is not to be had; the message is half a sentence that says why."""


class Direction(IntEnum):
    """On which side of a limit a value is beyond it."""

    ABOVE = 1
    BELOW = -1


class Contrast(Protocol):
    """One metric of the new run against the baseline."""

    @property
    def baseline(self) -> Figure | None:
        """The baseline's figure; None where it has none."""
        ...

    @property
    def new(self) -> Figure:
        """The new run's, over the same samples where they are paired."""
        ...

    @property
    def paired(self) -> int | None:
        """Samples that both runs have; None where nothing is paired."""
        ...

    @property
    def fewest(self) -> int | None:
        """Samples without which the figure has no interval; None where that is not known."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        ...

    def difference(self, relative: bool) -> Figure:
        """New minus baseline (relative: over the baseline), with its interval or the reason why it has none."""
        ...

    def beyond(self, limit: float, side: Direction, relative: bool) -> float | None:
        """One-sided p value of the hypothesis that the difference is not beyond `limit`; None where it has none."""
        ...

    def needed(self, limit: float, side: Direction, relative: bool) -> int | None:
        """Samples with which a check of this limit would be decided; None where that cannot be said."""
        ...


def enough(found: Figure, limit: float, side: Direction, n: int, confidence: float) -> int | None:
    """Samples with which an interval would keep clear of a limit, by the width it has now.

    As if nothing had changed where that is within the limit, else as if what is seen were the truth; the width falls
    with the root of the number of samples.

    Args:
        found: the figure with its interval.
        limit: that it must keep.
        side: on which it must not be.
        n: samples behind it.
        confidence: of the interval.
    """
    if found.value is None or found.low is None or found.high is None:
        return None
    half = found.high - found.value if side is Direction.ABOVE else found.value - found.low
    normal = NormalDist()
    scale = 1 + normal.inv_cdf(POWER) / normal.inv_cdf((1 + confidence) / 2)
    for gap in (limit * side, abs(limit - found.value)):
        if gap > 0 and math.isfinite(half / gap):
            more = math.ceil(n * (scale * half / gap) ** 2)
            if n < more <= 10**7:
                return more
    return None


def tail(found: Figure, limit: float, side: Direction, confidence: float) -> float | None:
    """One-sided p value of "not beyond the limit", read off an interval.

    Source: D. G. Altman, J. M. Bland, How to obtain the P value from a confidence interval, BMJ 343:d2304 (2011), on
    the end of the interval that faces the limit.

    Args:
        found: the figure with its interval.
        limit: under test.
        side: which side is beyond.
        confidence: of the interval.
    """
    if found.value is None or found.low is None or found.high is None:
        return None
    normal = NormalDist()
    distance = found.value - limit
    reach = found.value - found.low if distance > 0 else found.high - found.value
    if reach <= 0:
        return None
    if math.isinf(reach):
        return 0.5
    z = side * distance / reach * normal.inv_cdf((1 + confidence) / 2)
    return normal.cdf(-z)
