"""Repeats and budgets of a run as rows of the figures table."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.analysis.budget import BudgetCurve
from evalkit.analysis.figure import Figure
from evalkit.analysis.rollouts import RolloutFigures
from evalkit.reporting.rows import NONE, FigureRow

_CALLS = 3
_QUARTERS = 4


def rollout_rows(found: RolloutFigures | None) -> list[FigureRow]:
    """The figures of `--repeats k`; none without it."""
    if found is None:
        return []
    k = found.repeats
    return [
        _row(f"mean of {k} repeats", found.mean),
        *(_row(f"pass@{tries}", figure) for tries, figure in found.pass_at.items() if tries > 1),
        _row(f"all {k} right", found.all_of_k),
        _row(f"majority of {k} right", found.majority, f", {found.ties} ties" if found.ties else ""),
        _row("two answers agree, right or wrong", found.consistency),
        _row("two answers the same", found.agreement),
        _row("efficiency over repeats", found.efficiency, share=False),
        _variation(found),
        *([FigureRow("samples with fewer answers", str(found.short), "", str(found.samples))] if found.short else []),
    ]


def budget_rows(curves: Sequence[BudgetCurve]) -> list[FigureRow]:
    """Accuracy with at most 0, 1, ... calls, and over all budgets; none where no row called."""
    rows = []
    for curve in curves:
        if curve.unit == "calls" and curve.upto > 0:
            name = "accuracy, asked after" if curve.forced else "accuracy within"
            points = [point for point in curve.points if point.budget <= _CALLS or point.budget == curve.upto]
            rows += [_row(f"{name} {_amount(point.budget, 'calls')}", point.accuracy) for point in points]
            rows.append(_row(f"{name} 0 to {_amount(curve.upto, 'calls')}, mean", curve.area))
    return rows


def curve_rows(curves: Sequence[BudgetCurve]) -> list[FigureRow]:
    """A few points of every curve and its area; why there is none where there is none."""
    rows = []
    for curve in curves:
        what = ", when asked there" if curve.forced else ""
        for index in sorted({round(i * (len(curve.points) - 1) / _QUARTERS) for i in range(_QUARTERS + 1)}):
            if curve.points:
                point = curve.points[index]
                rows.append(_row(_amount(point.budget, curve.unit) + what, point.accuracy))
        rows.append(_row(f"mean over 0 to {_amount(curve.upto, curve.unit)}{what}", curve.area))
    return rows


def _amount(budget: float, unit: str) -> str:
    if unit == "seconds":
        return f"{budget:.2f} s"
    return f"{budget:.0f} {unit[:-1] if budget == 1 else unit}"


def _row(name: str, figure: Figure, more: str = "", *, share: bool = True) -> FigureRow:
    if figure.value is None:
        return FigureRow(name, f"{NONE}, because {figure.why}" if figure.why else NONE, "", str(figure.n))
    form = ".1%" if share else ".3f"
    known = figure.low is not None and figure.high is not None
    interval = f"{figure.low:{form}} - {figure.high:{form}}" if known else ""
    return FigureRow(name, f"{figure.value:{form}}{more}", interval, str(figure.n))


def _variation(found: RolloutFigures) -> FigureRow:
    parts = found.variation
    if parts.between is None or parts.within is None:
        return FigureRow("variance of one answer", f"{NONE}, because {parts.why}", "", str(found.samples))
    value = f"{parts.between:.3f} between samples, {parts.within:.3f} within"
    return FigureRow("variance of one answer", value, "", str(found.samples))
