"""How headlines name runs and print figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.board import Entry
from evalkit.analysis.figure import Figure
from evalkit.analysis.row_index import RowIndex
from evalkit.analysis.told_apart import Against


class Named(NamedTuple):
    """A run of a board, and what sentences call it."""

    name: str
    entry: Entry
    rows: RowIndex

    @property
    def sound(self) -> bool:
        """Whether it is finished and can be relied on."""
        return not self.entry.live and not any(mark.serious for mark in self.entry.marks)


def share(figure: Figure) -> str:
    """A share with its interval, e.g. "88.5% [83.2, 92.3]"."""
    if figure.value is None:
        return "not available"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def points(one: Against, *, turned: bool = False) -> str:
    """A paired difference of shares, e.g. "+5.2 points [+1.0, +9.4], p = 0.02"."""
    sign = -1 if turned else 1
    parts = [f"{100 * sign * (one.difference or 0):+.1f} points"]
    if one.low is not None and one.high is not None:
        low, high = sorted((sign * one.low, sign * one.high))
        parts[0] += f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    if one.p is not None:
        parts.append("p < 0.001" if one.p < 0.001 else f"p = {one.p:.3f}")
    return ", ".join(parts)


def listed(parts: Sequence[str], most: int) -> str:
    """The first few, and how many more there are."""
    shown = list(parts[:most])
    if len(parts) > most:
        return f"{', '.join(shown)} and {len(parts) - most} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)
