"""Accuracy by category, and beside it the tool rate: where the tools go, and where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.board import Board, Entry
from evalkit.analysis.figure import Figure
from evalkit.reporting.charts.drawing import Box, Drawing, Panel
from evalkit.reporting.charts.drawn import Drawn
from evalkit.reporting.charts.legend import Key, draw_legend, legend_height
from evalkit.reporting.charts.names import plain, short, text_width
from evalkit.reporting.charts.rows import SHARES, draw_ticks
from evalkit.reporting.charts.runs import Run, Runs
from evalkit.reporting.charts.style import WIDTH
from evalkit.reporting.charts.words import figure_cells, percent, said, sentences

MOST_CATEGORIES = 12
"""In one chart: those with the most rows."""
_NAME = 170.0
_APART = 48.0
_HEAD, _FOOT = 26.0, 22.0
_GROUP = 12.0


class _Layout(NamedTuple):
    """Places in pixels: of each bar's middle, and of the panels."""

    groups: list[list[float]]
    thick: float
    height: float
    panels: list[tuple[Box, str, str]]


def category_chart(board: Board, runs: Runs) -> Drawn | None:
    """A group of bars for each category; not made where there is only one."""
    names, left_out = _categories(board.entries)
    chosen = runs.with_data(lambda entry: any(_value(entry.categories, name) for name in names), "categories")
    if len(names) < 2 or not chosen.runs:
        return None
    rates = any(_value(run.entry.category_tool_rates, name) for run in chosen.runs for name in names)
    keys = [Key(run.name, run.look) for run in chosen.runs] if len(chosen.runs) > 1 else []
    layout = _layout(names, len(chosen.runs), legend_height(keys), rates=rates)
    drawing = Drawing(layout.height)
    draw_legend(drawing, keys, 0)
    for group, name in zip(layout.groups, names, strict=True):
        drawing.text(drawing.page, 0, (group[0] + group[-1]) / 2, short(plain(name), _NAME))
    for place, field, title in layout.panels:
        panel = Panel(place, (0.0, 1.0), (place.bottom, place.top))
        draw_ticks(drawing, panel, [(tick, f"{tick:.0%}") for tick in SHARES], "")
        drawing.text(drawing.page, place.left, place.top - 10, title, tone="muted")
        for i, run in enumerate(chosen.runs):
            figures = [getattr(run.entry, field).get(name, Figure()) for name in names]
            _bars(drawing, panel, run, figures, [group[i] for group in layout.groups], names, layout.thick)
    return Drawn(
        name="categories",
        title="Accuracy by category" + (", and tool rate" if rates else ""),
        caption=sentences(
            "Whiskers are 95% intervals.",
            f"{left_out} categories with fewer rows are left out." if left_out else "",
            chosen.left_out,
        ),
        alt="; ".join(
            f"{run.name}: "
            + ", ".join(f"{plain(name)} {percent(run.entry.categories.get(name, Figure()).value)}" for name in names)
            for run in chosen.runs
        ),
        data=tuple(
            {
                "name": run.name,
                "run": run.entry.run,
                "category": plain(name),
                **figure_cells("accuracy", run.entry.categories.get(name, Figure())),
                **figure_cells("tool_rate", run.entry.category_tool_rates.get(name, Figure())),
            }
            for name in names
            for run in chosen.runs
        ),
        drawing=drawing,
    )


def _categories(entries: Sequence[Entry]) -> tuple[list[str], int]:
    """The categories with the most rows, by name, and how many others there are."""
    rows: dict[str, int] = {}
    for entry in entries:
        for name, found in entry.categories.items():
            rows[name] = max(rows.get(name, 0), found.n)
    most = sorted(rows, key=lambda name: (-rows[name], name))[:MOST_CATEGORIES]
    return sorted(most), len(rows) - len(most)


def _value(figures: dict[str, Figure], name: str) -> bool:
    return name in figures and figures[name].value is not None


def _layout(names: Sequence[str], runs: int, legend: float, *, rates: bool) -> _Layout:
    thick = max(7.0, min(14.0, 60.0 / runs))
    top = legend + _HEAD
    group = thick * runs + _GROUP
    groups = [[top + group * k + _GROUP / 2 + thick * (i + 0.5) for i in range(runs)] for k in range(len(names))]
    bottom = top + group * len(names)
    left = min(_NAME, max(text_width(plain(name)) for name in names)) + 14
    room = WIDTH - left - 24
    if not rates:
        return _Layout(groups, thick, bottom + _FOOT, [(Box(left, top, left + room, bottom), "categories", "Accuracy")])
    wide = (room - _APART) * 0.58
    panels = [
        (Box(left, top, left + wide, bottom), "categories", "Accuracy"),
        (Box(left + wide + _APART, top, left + room, bottom), "category_tool_rates", "Tool rate"),
    ]
    return _Layout(groups, thick, bottom + _FOOT, panels)


def _bars(
    drawing: Drawing,
    panel: Panel,
    run: Run,
    figures: Sequence[Figure],
    middles: Sequence[float],
    names: Sequence[str],
    thick: float,
) -> None:
    half = 0.42 * thick
    boxes, hints, whiskers, ends = [], [], [], []
    for found, middle, name in zip(figures, middles, names, strict=True):
        if found.value is None:
            continue
        boxes.append(Box(0.0, middle - half, found.value, middle + half))
        hints.append(f"{run.name}, {plain(name)}: {said(found)}")
        ends.append((found.value, middle))
        if found.low is not None and found.high is not None:
            whiskers.append([(found.low, middle), (found.high, middle)])
    drawing.boxes(panel, boxes, run.look.colour, hints, alpha=0.55)
    drawing.lines(panel, whiskers, "fg", width=1.0)
    drawing.marks(panel, ends, run.look, size=min(7.0, thick * 0.8))
