"""Accuracy against something, one mark a run, with its name beside it: what two charts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from evalkit.analysis.figure import Figure
from evalkit.reporting.charts.axis import Axis
from evalkit.reporting.charts.drawing import Box, Drawing, Panel, Points
from evalkit.reporting.charts.labels import Label, place_labels
from evalkit.reporting.charts.legend import Key, draw_legend, legend_height
from evalkit.reporting.charts.names import short
from evalkit.reporting.charts.style import WIDTH, Style

_PLOT = 330.0
_LEFT, _RIGHT = 44.0, 24.0
_ABOVE, _BELOW = 24.0, 42.0
_NAME = 190.0
MEASURED = Key("measured, with 95% interval", Style("muted", "o", "-"))


class Dot(NamedTuple):
    """One mark.

    Attributes:
        x: with its interval where it has one.
        y: accuracy.
        name: stands beside it.
        look: colour and mark.
        hint: stands over it.
        hollow: whether it is a published figure.
    """

    x: Figure
    y: Figure
    name: str
    look: Style
    hint: str
    hollow: bool = False


def scatter(
    dots: Sequence[Dot], x: Axis, y: Axis, keys: Sequence[Key], front: Points = ()
) -> tuple[Drawing, list[str]]:
    """Draws the marks; measured runs for whose names there is no room beside them are named in the legend.

    Args:
        dots: all marks; the names of the first ones stand nearest.
        x: below.
        y: at the left.
        keys: the legend.
        front: the corners of a line of steps through the marks that no other beats.

    Returns:
        The drawing, and published models for whose names there is no room.
    """
    panel = Panel(Box(_LEFT, _ABOVE, WIDTH - _RIGHT, _ABOVE + _PLOT), x.ends, y.ends)
    lines = [line for dot in dots for line in _intervals(dot)]
    names, unnamed = _names(panel, dots, [*lines, *pairwise(front)], y)
    keys = [*keys, *(Key(dot.name, dot.look) for dot in unnamed if not dot.hollow)]
    drop = legend_height(keys)
    drawing = Drawing(drop + _ABOVE + _PLOT + _BELOW)
    panel = panel._replace(place=_lower(panel.place, drop))
    draw_legend(drawing, keys, 0)
    _frame(drawing, panel, x, y)
    drawing.lines(panel, [front] if len(front) > 1 else [], "accent", width=1.4, dash=(0, (4, 2)))
    for dot in dots:
        drawing.lines(panel, _intervals(dot), dot.look.colour, width=1.3, alpha=0.75)
    for dot in reversed(dots):
        # the first ones, which are measured, lie above
        drawing.marks(panel, [_at(dot)], dot.look, [dot.hint], size=7.0 if dot.hollow else 9.0, hollow=dot.hollow)
    for name in names:
        _draw_name(drawing, name, drop)
    return drawing, [dot.name for dot in unnamed if dot.hollow]


def _at(dot: Dot) -> tuple[float, float]:
    assert dot.x.value is not None
    assert dot.y.value is not None
    return dot.x.value, dot.y.value


def _intervals(dot: Dot) -> list[Points]:
    at_x, at_y = _at(dot)
    found: list[Points] = []
    if dot.y.low is not None and dot.y.high is not None:
        found.append([(at_x, dot.y.low), (at_x, dot.y.high)])
    if dot.x.low is not None and dot.x.high is not None:
        found.append([(dot.x.low, at_y), (dot.x.high, at_y)])
    return found


def _frame(drawing: Drawing, panel: Panel, x: Axis, y: Axis) -> None:
    left, right = x.ends
    bottom, top = y.ends
    drawing.lines(panel, [[(left, tick), (right, tick)] for tick in y.ticks], "line")
    drawing.lines(panel, [[(tick, bottom), (tick, top)] for tick in x.ticks], "line")
    place, page = panel.place, drawing.page
    for tick, text in zip(y.ticks, y.texts, strict=True):
        drawing.text(page, place.left - 6, panel.at(left, tick)[1], text, tone="muted", align="right")
    for tick, text in zip(x.ticks, x.texts, strict=True):
        drawing.text(page, panel.at(tick, bottom)[0], place.bottom + 11, text, tone="muted", align="center")
    drawing.text(page, 2, place.top - 12, y.title, tone="muted")
    drawing.text(page, place.right, place.bottom + 29, x.title, tone="muted", align="right")


class _Name(NamedTuple):
    """A name as it is shown, and where."""

    dot: Dot
    text: str
    label: Label


def _names(panel: Panel, dots: Sequence[Dot], lines: Sequence[Points], y: Axis) -> tuple[list[_Name], list[Dot]]:
    """The names that have room beside their marks, and the marks whose names have none."""
    ends = [(panel.at(*line[0]), panel.at(*line[1])) for line in lines]
    others = [Box(min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1) for a, b in ends]
    named: dict[tuple[object, ...], tuple[Dot, tuple[float, float]]] = {}
    for dot in dots:
        at = panel.at(*_at(dot))
        # the same name twice in one place stands there once
        first, _ = named.setdefault((dot.name, dot.hollow, round(at[0] / 12), round(at[1] / 12)), (dot, at))
        if first is not dot:
            others.append(Box(at[0] - 5, at[1] - 5, at[0] + 5, at[1] + 5))
    texts = [short(dot.name, _NAME) for dot, _ in named.values()]
    place = panel.place
    bounds = Box(place.left, place.top - 4, WIDTH, place.bottom)
    grid = [panel.at(0.0, tick)[1] for tick in y.ticks]
    labels = place_labels([at for _, at in named.values()], texts, others, bounds, grid)
    found, unnamed = [], []
    for (dot, _), text, label in zip(named.values(), texts, labels, strict=True):
        if label is None:
            unnamed.append(dot)
        else:
            found.append(_Name(dot, text, label))
    return found, unnamed


def _draw_name(drawing: Drawing, name: _Name, drop: float) -> None:
    box = _lower(name.label.box, drop)
    if name.label.leader is not None:
        drawing.lines(drawing.page, [[(x, y + drop) for x, y in name.label.leader]], "muted", width=0.7)
    tone = "muted" if name.dot.hollow else "fg"
    drawing.text(drawing.page, box.left, (box.top + box.bottom) / 2, name.text, tone=tone)


def _lower(box: Box, pixels: float) -> Box:
    return box._replace(top=box.top + pixels, bottom=box.bottom + pixels)
