"""Figures in the words of hints and captions."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.figure import Figure
from evalkit.reporting.charts.chart import Cell


def percent(value: float | None) -> str:
    """A share as it is printed."""
    return "not known" if value is None else f"{value:.1%}"


def said(found: Figure) -> str:
    """A share with its interval and its rows."""
    if found.value is None:
        return f"not available: {found.why}" if found.why else "not available"
    between = "" if found.low is None or found.high is None else f", 95% {found.low:.1%} - {found.high:.1%}"
    return f"{found.value:.1%}{between}, n = {found.n}"


def figure_cells(name: str, found: Figure) -> dict[str, Cell]:
    """A figure as columns of a chart's data."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_n": found.n}


def listed(names: Sequence[str], most: int = 4) -> str:
    """Some names and how many more there are."""
    some = ", ".join(name if len(name) <= 60 else f"{name[:59]}…" for name in names[:most])
    return f"{some} and {len(names) - most} more" if len(names) > most else some


def sentences(*parts: str) -> str:
    """The parts that say something."""
    return " ".join(part for part in parts if part)
