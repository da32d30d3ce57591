"""Figures in a few characters; nothing here is escaped."""

from __future__ import annotations

from evalkit.analysis.figure import Figure

MISSING = "–"
"""Stands where a table has no room for "not available" and its reason."""


def share_text(figure: Figure, *, signed: bool = False, interval: bool = True) -> str:
    """A share in percent, with its interval where it has one."""
    if figure.value is None:
        return MISSING
    sign = "+" if signed else ""
    text = f"{figure.value:{sign}.1%}"
    if not interval or figure.low is None or figure.high is None:
        return text
    return f"{text} [{100 * figure.low:{sign}.1f}, {100 * figure.high:{sign}.1f}]"


def number_text(figure: Figure | None) -> str:
    """A number with about three digits."""
    if figure is None or figure.value is None:
        return MISSING
    size = abs(figure.value)
    return f"{figure.value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}" if size >= 0.1 else f"{figure.value:.3g}"


def several(names: list[str], most: int = 4) -> str:
    """Names in a row, the last ones counted."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
