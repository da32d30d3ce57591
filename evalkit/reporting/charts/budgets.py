"""How right a run would have been with fewer calls, tokens or seconds: curves with bands of intervals."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.analysis.board import Board
from evalkit.analysis.budget import BudgetCurve, Unit
from evalkit.reporting.charts.axis import Axis, share_axis, ticks_between
from evalkit.reporting.charts.chart import Row
from evalkit.reporting.charts.drawing import Box, Drawing, Panel
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key, draw_legend, legend_height
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.style import WIDTH
from evalkit.reporting.charts.words import figure_cells, percent, said, sentences

MOST_CURVES = 6
"""Runs in this chart: more curves and bands cannot be told apart."""
_COLUMNS = 2
_LEFT, _APART, _RIGHT = 44.0, 30.0, 14.0
_HEAD, _HIGH, _FOOT = 18.0, 220.0, 46.0
_KINDS: tuple[tuple[Unit, bool, str], ...] = (
    ("calls", False, "Tool calls allowed"),
    ("calls", True, "Answer forced after so many calls"),
    ("tokens", False, "Generated tokens allowed"),
    ("seconds", False, "Seconds allowed, as run"),
)


class _Line(NamedTuple):
    """One curve of one run."""

    run: Run
    curve: BudgetCurve


def budget_chart(board: Board, runs: Runs) -> Drawn | None:
    """A panel for each kind of budget of which any run has a curve of more than one point."""
    chosen = runs.with_data(lambda entry: any(map(_drawable, entry.budgets)), "budget curves", most=MOST_CURVES)
    lines = [_Line(run, curve) for run in chosen.runs for curve in run.entry.budgets if _drawable(curve)]
    panels = {
        title: mine
        for unit, forced, title in _KINDS
        if (mine := [line for line in lines if (line.curve.unit, line.curve.forced) == (unit, forced)])
    }
    if not panels:
        return None
    keys = [Key(run.name, run.look, "line") for run in chosen.runs]
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    top = legend_height(keys) + _HEAD
    drawing = Drawing(top + rows * (_HIGH + _FOOT))
    draw_legend(drawing, keys, 0)
    drawing.text(drawing.page, 2, top - 8, "Accuracy", tone="muted")
    wide = (WIDTH - _LEFT - _RIGHT - _APART * (columns - 1)) / columns
    y = share_axis("Accuracy", [point.accuracy for line in lines for point in line.curve.points])
    for i, (title, mine) in enumerate(panels.items()):
        left = _LEFT + (i % columns) * (wide + _APART)
        above = top + (i // columns) * (_HIGH + _FOOT)
        _panel(drawing, Box(left, above, left + wide, above + _HIGH), title, mine, y, first=i % columns == 0)
    return Drawn(
        name="budget",
        title="Accuracy within a budget",
        caption=sentences(
            "A trajectory beyond the budget counts as not answered. Bands are 95% intervals; a curve ends where the "
            "run's dearest trajectory does.",
            chosen.left_out,
        ),
        alt="; ".join(
            f"{line.run.name}, {_unit(line)}: from {percent(line.curve.points[0].accuracy.value)} at "
            f"{line.curve.points[0].budget:g} to {percent(line.curve.points[-1].accuracy.value)} at "
            f"{line.curve.points[-1].budget:.4g}"
            for line in lines
        ),
        data=tuple(row for line in lines for row in _rows(line)),
        drawing=drawing,
    )


def _unit(line: _Line) -> str:
    return f"forced answers, {line.curve.unit}" if line.curve.forced else line.curve.unit


def _drawable(curve: BudgetCurve) -> bool:
    return len(curve.points) > 1 and all(point.accuracy.value is not None for point in curve.points)


def _panel(drawing: Drawing, place: Box, title: str, lines: list[_Line], y: Axis, *, first: bool) -> None:
    most = max(line.curve.points[-1].budget for line in lines)
    end = most * 1.03
    bottom = y.ends[0]
    panel = Panel(place, (0.0, end), y.ends)
    whole = lines[0].curve.unit != "seconds"
    ticks = [tick for tick in ticks_between(0.0, most, 5) if not whole or tick == int(tick)]
    drawing.lines(panel, [[(0.0, tick), (end, tick)] for tick in y.ticks], "line")
    drawing.lines(panel, [[(0.0, bottom), (end, bottom)]], "muted", width=0.8)
    for tick in ticks:
        x = panel.at(tick, bottom)[0]
        drawing.text(drawing.page, x, place.bottom + 11, f"{tick:,.4g}", tone="muted", align="center")
    for tick, text in zip(y.ticks, y.texts, strict=True) if first else ():
        level = panel.at(0.0, tick)[1]
        drawing.text(drawing.page, place.left - 6, level, text, tone="muted", align="right")
    drawing.text(drawing.page, place.right, place.bottom + 28, title, tone="muted", align="right")
    for line in lines:
        _band(drawing, panel, line)
    for line in lines:
        _curve(drawing, panel, line)


def _band(drawing: Drawing, panel: Panel, line: _Line) -> None:
    ends = [
        (point.budget, point.accuracy.low, point.accuracy.high)
        for point in line.curve.points
        if point.accuracy.low is not None and point.accuracy.high is not None
    ]
    if len(ends) < 2:
        return
    around = [(x, low) for x, low, _ in ends] + [(x, high) for x, _, high in reversed(ends)]
    drawing.areas(panel, [around], line.run.look.colour, alpha=0.14)


def _curve(drawing: Drawing, panel: Panel, line: _Line) -> None:
    """The line, with a mark at each number of calls, else at its end."""
    points = [(point.budget, point.accuracy.value or 0.0) for point in line.curve.points]
    look = line.run.look
    drawing.lines(panel, [points], look.colour, width=1.7, dash=look.line)
    hints = [
        f"{line.run.name}, {point.budget:.4g} {_unit(line)}: {said(point.accuracy)}" for point in line.curve.points
    ]
    if line.curve.unit == "calls":
        drawing.marks(panel, points, look, hints, size=5.5)
    else:
        drawing.marks(panel, points[-1:], look, hints[-1:], size=7.0)


def _rows(line: _Line) -> list[Row]:
    return [
        {
            "name": line.run.name,
            "run": line.run.entry.run,
            "unit": line.curve.unit,
            "forced": int(line.curve.forced),
            "budget": point.budget,
            **figure_cells("accuracy", point.accuracy),
        }
        for point in line.curve.points
    ]
