"""Axes: from where to where they go, and the round numbers on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from evalkit.analysis.figure import Figure

_LEAST = 0.02
"""Of an axis in per cent: less would make noise look large, even beside its intervals."""


class Axis(NamedTuple):
    """An axis: what stands beside it, from where to where it goes, where its numbers stand and what they say."""

    title: str
    ends: tuple[float, float]
    ticks: tuple[float, ...]
    texts: tuple[str, ...]


def share_axis(title: str, figures: Sequence[Figure], *, whole: bool = False) -> Axis:
    """An axis in per cent: as far as the figures and their intervals go, or from 0 to 1."""
    low, high = (0.0, 1.0) if whole else _span(figures)
    lacking = max(0.0, _LEAST - (high - low))
    low = max(0.0, low - lacking / 2)
    high = min(1.0, low + max(_LEAST, high - low))
    low = min(low, high - _LEAST)
    ticks = ticks_between(low, high)
    room = 0.04 * (high - low)
    return Axis(title, (low - room, high + room), ticks, tuple(f"{100 * tick:.4g}%" for tick in ticks))


def number_axis(title: str, figures: Sequence[Figure]) -> Axis:
    """An axis from 0 to the largest figure."""
    high = _span(figures)[1] or 1.0
    ticks = ticks_between(0.0, high * 1.05)
    return Axis(title, (-0.02 * high, high * 1.08), ticks, tuple(f"{tick:,.4g}" for tick in ticks))


def _span(figures: Sequence[Figure]) -> tuple[float, float]:
    ends = [end for one in figures for end in (one.value, one.low, one.high) if end is not None]
    return min(ends), max(ends)


def ticks_between(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most so many round numbers and one between two ends."""
    with np.errstate(over="ignore"):
        # it tries larger steps than it takes, which near the largest floats do not exist
        found = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    room = 1e-9 * (high - low)
    return tuple(float(tick) for tick in found if low - room <= tick <= high + room)
