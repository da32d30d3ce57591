"""Charts of one row a run: its mark and name at the left, what it has at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.reporting.charts.drawing import Box, Drawing, Panel
from evalkit.reporting.charts.legend import Key, draw_legend, legend_height
from evalkit.reporting.charts.names import short, text_width
from evalkit.reporting.charts.runs import Run
from evalkit.reporting.charts.style import WIDTH, Style

PITCH = 26.0
"""From row to row, in pixels."""
_NAME = 200.0
_SIGN = 18.0
_BELOW = 40.0
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Part(NamedTuple):
    """One kind of piece of the rows' bars.

    Attributes:
        name: in the data.
        text: in the legend.
        tone: its colour.
        hatch: so that colour is not all that tells it; of lines, as dots make a long SVG.
    """

    name: str
    text: str
    tone: str
    hatch: str = ""


def name_width(names: Sequence[str]) -> float:
    """Pixels for marks and names."""
    return _SIGN + min(_NAME, max(map(text_width, names))) + 10


def draw_name(drawing: Drawing, run: Run, y: float) -> None:
    """A run's mark and name at the left, with its middle at y pixels."""
    drawing.marks(drawing.page, [(7.0, y)], run.look, size=8.0)
    drawing.text(drawing.page, _SIGN, y, short(run.name, _NAME))


def row_panel(
    runs: Sequence[Run],
    keys: Sequence[Key],
    title: str,
    ticks: Sequence[float],
    texts: Sequence[str],
    *,
    ends: tuple[float, float] | None = None,
    grid: bool = True,
    pitch: float = PITCH,
    right: float = 60.0,
) -> tuple[Drawing, Panel]:
    """A drawing with the runs' names and a panel beside them; row i has its middle at y = i.

    Args:
        runs: from the top.
        keys: the legend.
        title: of the numbers below.
        ticks: where they stand.
        texts: what they say.
        ends: of the axis; None takes the first and the last tick.
        grid: whether the ticks have lines.
        pitch: from row to row, in pixels.
        right: pixels for words behind the bars.
    """
    top = legend_height(keys) + 8
    bottom = top + pitch * len(runs)
    drawing = Drawing(bottom + _BELOW)
    draw_legend(drawing, keys, 0)
    left = name_width([run.name for run in runs])
    place = Box(left, top, WIDTH - right, bottom)
    panel = Panel(place, ends or (ticks[0], ticks[-1]), (len(runs) - 0.5, -0.5))
    draw_ticks(drawing, panel, list(zip(ticks, texts, strict=True)), title, lines=grid)
    for i, run in enumerate(runs):
        draw_name(drawing, run, top + pitch * (i + 0.5))
    return drawing, panel


def draw_ticks(
    drawing: Drawing, panel: Panel, ticks: Sequence[tuple[float, str]], title: str, *, lines: bool = True
) -> None:
    """Numbers below with lines from top to bottom, and what they count."""
    bottom, top = panel.y
    if lines:
        drawing.lines(panel, [[(tick, bottom), (tick, top)] for tick, _ in ticks], "line")
    for tick, text in ticks:
        x, y = panel.at(tick, bottom)
        drawing.text(drawing.page, x, y + 10, text, tone="muted", align="center")
    if title:
        drawing.text(drawing.page, panel.place.right, panel.place.bottom + 27, title, tone="muted", align="right")


def stacks(
    drawing: Drawing,
    panel: Panel,
    parts: Sequence[Part],
    values: Sequence[Sequence[float]],
    hints: Sequence[Sequence[str]],
    *,
    thick: float = 0.62,
) -> None:
    """Bars of pieces.

    Args:
        drawing: what they go on.
        panel: from `row_panel`.
        parts: kinds of piece, from the left.
        values: length of each piece, shape (rows, parts).
        hints: over them, shape (rows, parts).
        thick: of a bar, in rows.
    """
    half = thick / 2
    starts = [[sum(row[:k]) for k in range(len(parts))] for row in values]
    for k, part in enumerate(parts):
        here = [i for i, row in enumerate(values) if row[k] > 0]
        boxes = [Box(starts[i][k], i - half, starts[i][k] + values[i][k], i + half) for i in here]
        drawing.boxes(panel, boxes, part.tone, [hints[i][k] for i in here], hatch=part.hatch)


def part_keys(parts: Sequence[Part]) -> list[Key]:
    """The legend of kinds of piece."""
    return [Key(part.text, Style(part.tone, "", "-"), "box", part.hatch) for part in parts]
